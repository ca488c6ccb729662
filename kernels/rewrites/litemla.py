"""Run EfficientViT-B's linear attention in numbers that fp16 can hold, and without a region that must be float32.

Principle: attention is a sum over all pixels divided by another one, so both may be taken of keys that are smaller by
any factor. timm's sums reach 7e5 and fp16 ends at 65504; timm asks for float32 there (autocast off), which no fp16 file
keeps. With keys divided by the number of pixels, by 128 at most, they are means. No further, since the small number
that keeps the division from zero is divided too, and fp16 has none below 6e-8.
Not measured as speed: what it brings is that Core ML fp16 is right (0.243 off before) and ExecuTorch fp16 converts.
Source: timm's efficientvit_mit (Cai et al., arXiv:2205.14756). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.efficientvit_mit import LiteMLA
from torch import Tensor, nn

_MOST = 128


class MeanAttention(nn.Module):
    """Be a LiteMLA."""

    def __init__(self, old: LiteMLA) -> None:
        super().__init__()
        self.qkv, self.coarser, self.act, self.out = old.qkv, old.aggreg, old.kernel_func, old.proj
        self.dim, self.eps = old.dim, old.eps

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        height, width = x.shape[2:]
        pixels, dim = height * width, self.dim
        share = 1 / min(pixels, _MOST)
        first = self.qkv(x)
        y = torch.cat([first, *(part(first) for part in self.coarser)], 1)
        heads = y.shape[1] // (3 * dim)
        y = y.reshape(-1, heads, 3 * dim, pixels).transpose(2, 3)
        q, k = self.act(y[..., :dim]), self.act(y[..., dim : 2 * dim]) * share
        v = F.pad(y[..., 2 * dim :], (0, 1), value=1.0)
        sums = q @ (k.transpose(2, 3) @ v)
        mixed = sums[..., :dim] / (sums[..., dim:] + self.eps * share)
        out: Tensor = self.out(mixed.transpose(2, 3).reshape(-1, heads * dim, height, width))
        return out


def mean_attention(old: nn.Module) -> nn.Module:
    """Build linear attention over means."""
    assert isinstance(old, LiteMLA)
    return MeanAttention(old)
