"""Bring the stages together: the deep, small maps are made larger step by step and the finer ones added.

Only the first sum goes through a ReLU, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .joint import as_map, as_tokens
from .sizes import HitSize


class UpNorm(nn.Sequential):
    """Make a map twice as large, by a transposed convolution and its norm."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.ConvTranspose2d(channels_in, channels_out, 2, 2), nn.BatchNorm2d(channels_out))

    @torch.no_grad()
    def fuse(self) -> nn.Module:
        """Return the same without the norm (called by ``kernels.rewrites.fuse``)."""
        up, norm = self
        assert isinstance(up, nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        return fuse_conv_bn_eval(up, norm, transpose=True)


class Bridge(nn.Module):
    """Answer the tokens of three stages with the search's fine tokens and one vector for all that was seen."""

    def __init__(self, size: HitSize) -> None:
        super().__init__()
        fine, middle, deep = size.widths
        self.sides = size.search_sides
        self.layers = nn.ModuleList((UpNorm(deep, middle), UpNorm(middle, fine)))
        self.proj1: nn.Module = nn.Linear(fine, size.hidden)
        self.proj2: nn.Module = nn.Linear(deep, size.hidden)

    def forward(self, stages: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (N, fine tokens, hidden), and (N, 1, hidden), which speaks for both pictures."""
        fine, middle, deep = (
            as_map(tokens[:, : side**2], side) for tokens, side in zip(stages, self.sides, strict=True)
        )
        x = torch.relu(self.layers[0](deep) + middle)
        x = self.layers[1](x) + fine
        return self.proj1(as_tokens(x)), self.proj2(stages[2].mean(1, keepdim=True))
