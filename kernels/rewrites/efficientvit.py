"""Run EfficientViT's cascaded group attention with constant biases, in windows that are copies of rows.

Principle: the table of attention biases is looked up once, here; in the graph it stands as a constant (timm's lookup is
a gather, GATHER_ND in LiteRT, which the GPU delegate refuses). The scale moves into the depthwise convolution on q,
``chunk`` and ``split`` become slices, and windows are cut by a transpose of rank four instead of six.
Measured on M2: ONNX 1.11, LiteRT 1.08 of the vendors' recipes (AMD EPYC, one thread, 2026-11-21, docs/rewrites.md).
Source: timm's efficientvit_msra (Liu et al., arXiv:2305.07027). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.efficientvit_msra import CascadedGroupAttention, LocalWindowAttention
from torch import Tensor, nn

from .affine import Affine, is_pointwise
from .patches import by_window, from_windows


class Head(nn.Module):
    """Be one head: maps (N, C/heads, H, W) to (N, values, H, W)."""

    def __init__(self, qkv: nn.Module, local: nn.Conv2d, bias: Tensor, scale: float, key_dim: int, rows: bool) -> None:
        super().__init__()
        affine = Affine.of(qkv)
        self.values = affine.weight.shape[0] - 2 * key_dim
        q, k, v = affine.split(key_dim, key_dim, self.values)
        self.q, self.k, self.v = q.pointwise(), k.pointwise(), v.pointwise()
        self.local = local
        with torch.no_grad():
            local.weight.mul_(scale)
            if local.bias is not None:
                local.bias.mul_(scale)
        self.register_buffer("bias", bias.detach().clone())
        self.bias: Tensor
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        q, k, v = self.local(self.q(x)), self.k(x), self.v(x)
        if self.rows:
            # k stays channels first, for the reason that shvit.py gives.
            q, v = (t.permute(0, 2, 3, 1).reshape(-1, height * width, t.shape[1]) for t in (q, v))
            y: Tensor = (q @ k.flatten(2) + self.bias).softmax(-1) @ v
            return y.reshape(-1, height, width, self.values).permute(0, 3, 1, 2)
        q, k, v = q.flatten(2), k.flatten(2), v.flatten(2)
        y = v @ (q.transpose(1, 2) @ k + self.bias).softmax(-1).transpose(1, 2)
        return y.reshape(-1, self.values, height, width)


class Cascade(nn.Module):
    """Be a CascadedGroupAttention: each head sees its share of the channels plus what the head before it made."""

    def __init__(self, old: CascadedGroupAttention, rows: bool) -> None:
        super().__init__()
        biases = old.attention_biases.detach()[:, old.attention_bias_idxs]
        parts = zip(old.qkvs, old.dws, biases, strict=True)
        self.heads = nn.ModuleList(Head(qkv, dw, bias, old.scale, old.key_dim, rows) for qkv, dw, bias in parts)
        self.out = old.proj

    def forward(self, x: Tensor) -> Tensor:
        share = x.shape[1] // len(self.heads)
        made: list[Tensor] = []
        for at, head in enumerate(self.heads):
            part = x[:, at * share : (at + 1) * share]
            made.append(head(part + made[-1] if made else part))
        out: Tensor = self.out(torch.cat(made, 1))
        return out


class Windows(nn.Module):
    """Be a LocalWindowAttention: cut a map into windows, attend in each, and join them."""

    def __init__(self, old: LocalWindowAttention) -> None:
        super().__init__()
        self.attn = old.attn
        self.window = old.attn.resolution

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        height, width = x.shape[2:]
        if height == width == self.window:
            out: Tensor = self.attn(x)
            return out
        below, right = -height % self.window, -width % self.window
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        size = (height + below, width + right)
        windows = by_window(x.permute(0, 2, 3, 1), self.window).permute(0, 3, 1, 2)
        x = from_windows(self.attn(windows).permute(0, 2, 3, 1), size).permute(0, 3, 1, 2)
        return x[:, :, :height, :width] if below or right else x


def cascade(old: nn.Module, *, rows: bool = False) -> nn.Module | None:
    """Build the attention; one whose BatchNorms could not be folded is not covered."""
    assert isinstance(old, CascadedGroupAttention)
    plain = all(is_pointwise(qkv) for qkv in old.qkvs) and all(type(dw) is nn.Conv2d for dw in old.dws)
    return Cascade(old, rows) if plain else None


def windows(old: nn.Module) -> nn.Module:
    """Build the windows; the attention inside is swapped by its own rule."""
    assert isinstance(old, LocalWindowAttention)
    return Windows(old)
