"""Enlarge GhostNetV2's attention map by products with ones and zeros, where its side grows by no whole factor.

Principle: a map of 7 x 7 is halved to 3 x 3 and goes back by the nearest neighbour; which one that is differs. torch
takes ``floor(i * 3 / 7)``; LiteRT's operator, as its converter writes it, another one (0.069 off in fp32); Core ML's is
written nowhere; XNNPACK has none. A product with a matrix that has a single 1 in every row copies exactly, anywhere.
Not measured as speed: the maps have nine pixels.
Source: timm's GhostModuleV2 (Tang et al., arXiv:2211.12905). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.ghostnet import GhostModuleV2
from torch import Tensor, nn


class AttendedGhost(nn.Module):
    """Be a GhostModuleV2."""

    def __init__(self, old: GhostModuleV2) -> None:
        super().__init__()
        self.primary, self.cheap, self.short = old.primary_conv, old.cheap_operation, old.short_conv
        self.gate, self.channels = old.gate_fn, old.out_chs

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        gate = self.gate(self.short(F.avg_pool2d(x, kernel_size=2, stride=2)))
        first = self.primary(x)
        out = torch.cat([first, self.cheap(first)], 1)[:, : self.channels]
        return out * _enlarged(gate, (out.shape[2], out.shape[3]))


def _enlarged(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    height, width = size_hw
    if height % x.shape[2] == 0 and width % x.shape[3] == 0:
        return F.interpolate(x, size=size_hw, mode="nearest")  # every rule says the same
    columns = F.linear(x, _copies(x.shape[3], width, x))
    return F.linear(columns.transpose(2, 3), _copies(x.shape[2], height, x)).transpose(2, 3)


def _copies(few: int, many: int, like: Tensor) -> Tensor:
    """Return the matrix (many, few) that copies each of ``few`` numbers to where torch's nearest neighbour has it."""
    rows = [[float(place * few // many == source) for source in range(few)] for place in range(many)]
    return torch.tensor(rows, dtype=like.dtype)


def attended_ghost(old: nn.Module) -> nn.Module:
    """Build a ghost module with attention."""
    assert isinstance(old, GhostModuleV2)
    return AttendedGhost(old)
