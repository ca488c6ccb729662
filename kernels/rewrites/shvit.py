"""Run SHViT's single-head attention on slices, its norm without gain and shift, its scale inside q.

Principle: ``split`` becomes slices (ExecuTorch's XNNPACK partitioner leaves split_with_sizes behind, 37 delegates where
one does), GroupNorm's gain, shift and the score's scale move into the q, k, v convolution. ``rows`` runs attention on
(N, positions, channels), the order in which LiteRT keeps maps, so that no transpose is left.
Measured on S1: ONNX 1.01, LiteRT 1.16 of the vendors' recipes (AMD EPYC, one thread, 2026-11-21, docs/rewrites.md).
Source: timm's SHSA (Yun and Ro, arXiv:2401.16456). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import torch
from timm.models.shvit import SHSA
from torch import Tensor, nn

from .affine import Affine, is_pointwise
from .norms import MapNorm, NormForm


class SingleHead(nn.Module):
    """Be an SHSA."""

    def __init__(self, old: SHSA, norm: NormForm, rows: bool) -> None:
        super().__init__()
        self.mixed = old.pdim
        self.norm = MapNorm(old.pre_norm, norm)
        q, k, v = Affine.of(old.qkv).after(old.pre_norm).split(old.qk_dim, old.qk_dim, old.pdim)
        self.q, self.k, self.v = q.scaled(old.scale).pointwise(), k.pointwise(), v.pointwise()
        self.out = old.proj
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        height, width = x.shape[2:]
        y = self.norm(x[:, : self.mixed])
        q, k, v = self.q(y), self.k(y), self.v(y)
        if self.rows:
            # k stays channels first: LiteRT makes q (positions, c) x k (positions, c) of one picture a FULLY_CONNECTED
            # with weights that are no constant, which XNNPACK leaves behind, a delegate more for each.
            q, v = (t.permute(0, 2, 3, 1).reshape(-1, height * width, t.shape[1]) for t in (q, v))
            y = (q @ k.flatten(2)).softmax(-1) @ v
            y = y.reshape(-1, height, width, self.mixed).permute(0, 3, 1, 2)
        else:
            q, k, v = q.flatten(2), k.flatten(2), v.flatten(2)
            y = v @ (q.transpose(1, 2) @ k).softmax(-1).transpose(1, 2)
            y = y.reshape(-1, self.mixed, height, width)
        out: Tensor = self.out(torch.cat((y, x[:, self.mixed :]), 1))
        return out


def single_head(old: nn.Module, norm: NormForm, *, rows: bool = False) -> nn.Module | None:
    """Build the mixer; another norm than GroupNorm of one group is not covered, nor an unfolded BatchNorm."""
    assert isinstance(old, SHSA)
    plain = isinstance(old.pre_norm, nn.GroupNorm) and old.pre_norm.num_groups == 1 and is_pointwise(old.qkv)
    return SingleHead(old, norm, rows) if plain else None
