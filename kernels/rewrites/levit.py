"""Run LeViT's attention with constant biases, and q, k and v as layers of their own.

Principle: timm interleaves q, k and v head by head and splits them at run time; the rows of the weights are put in
another order once instead. The table of biases becomes a constant, so that no gather is left (timm caches the lookup in
eval mode, but a trace records it), and the scale moves into q. With ``strided`` the layer behind skipped positions is a
1x1 convolution with that stride, since XNNPACK takes neither a slice nor a pooling that only skips (LiteRT's time 0.96
to 1.01; AMD EPYC, 2026-11-21).
Measured on 128S: ONNX 1.00, LiteRT 1.12; on the conv twin 0.98 and 1.37 (AMD EPYC, one thread, 2026-11-21,
docs/rewrites.md).
Source: timm's LeViT (Graham et al., arXiv:2104.01136).
Shapes: tokens (N, count, C) for levit_*, maps (N, C, H, W) for levit_conv_*.
"""

from __future__ import annotations

import torch
from timm.models.levit import Attention, AttentionDownsample, Downsample
from torch import Tensor, nn

from .affine import Affine, is_pointwise


class BiasedAttention(nn.Module):
    """Attend from q to k and v with one bias a head and pair; ``maps`` says that channels come first."""

    def __init__(self, heads: int, bias: Tensor, out: nn.Module, maps: bool) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("bias", bias.detach().clone())
        self.bias: Tensor
        self.out = out
        self.maps = maps

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Take layers' answers; the answer lies as q does."""
        if self.maps:
            size_hw = q.shape[2:]
            q, k, v = (t.reshape(-1, self.heads, t.shape[1] // self.heads, t.shape[2] * t.shape[3]) for t in (q, k, v))
            mixed: Tensor = v @ (q.transpose(2, 3) @ k + self.bias).softmax(-1).transpose(2, 3)
            mixed = mixed.reshape(-1, self.heads * mixed.shape[2], *size_hw)
        else:
            q, k, v = (t.reshape(-1, t.shape[1], self.heads, t.shape[2] // self.heads) for t in (q, k, v))
            scores = q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1) + self.bias
            mixed = (scores.softmax(-1) @ v.permute(0, 2, 1, 3)).permute(0, 2, 1, 3)
            mixed = mixed.reshape(-1, mixed.shape[1], self.heads * mixed.shape[3])
        out: Tensor = self.out(mixed)
        return out


class LevitAttention(nn.Module):
    """Be LeViT's Attention."""

    def __init__(self, old: Attention) -> None:
        super().__init__()
        key, value, heads = old.key_dim, old.val_dim, old.num_heads
        q, k, v = (_of_heads(Affine.of(old.qkv), heads, part) for part in _parts(key, key, value))
        make = Affine.pointwise if old.use_conv else Affine.linear
        self.q, self.k, self.v = make(q.scaled(old.scale)), make(k), make(v)
        self.attend = BiasedAttention(heads, _bias(old), old.proj, old.use_conv)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give tokens or maps."""
        out: Tensor = self.attend(self.q(x), self.k(x), self.v(x))
        return out


class Shrink(nn.Module):
    """Be LeViT's Downsample for channels first: (N, C, 1, H * W) to fewer positions."""

    def __init__(self, old: Downsample) -> None:
        super().__init__()
        self.stride, self.size_hw, self.pool = old.stride, old.resolution, old.pool

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(-1, x.shape[1], *self.size_hw)
        x = x[:, :, :: self.stride, :: self.stride] if self.pool is None else self.pool(x)
        return x.reshape(-1, x.shape[1], 1, x.shape[2] * x.shape[3])


class Skipping(nn.Module):
    """Be a linear layer behind ``Downsample``: tokens (N, H * W, C) in, fewer out."""

    def __init__(self, layer: nn.Module, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.layer, self.size_hw = layer, size_hw

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.reshape(-1, *self.size_hw, x.shape[2]).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).reshape(-1, y.shape[2] * y.shape[3], y.shape[1])


class LevitDownsample(nn.Module):
    """Be LeViT's AttentionDownsample: q comes from fewer positions."""

    def __init__(self, old: AttentionDownsample, strided: bool) -> None:
        super().__init__()
        key, value, heads = old.key_dim, old.val_dim, old.num_heads
        k, v = (_of_heads(Affine.of(old.kv), heads, part) for part in _parts(key, value))
        make = Affine.pointwise if old.use_conv else Affine.linear
        query = Affine.of(old.q.ln).scaled(old.scale)
        skips = strided and _only_skips(old.q.down)
        self.fewer = nn.Identity() if skips else old.q.down
        self.q = _skipping(query, old) if skips else make(query)
        self.k, self.v = make(k), make(v)
        self.attend = BiasedAttention(heads, _bias(old), old.proj, old.use_conv)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give tokens or maps."""
        out: Tensor = self.attend(self.q(self.fewer(x)), self.k(x), self.v(x))
        return out


def levit_attention(old: nn.Module) -> nn.Module | None:
    """Build the attention; one whose BatchNorm could not be folded is not covered."""
    assert isinstance(old, Attention)
    return LevitAttention(old) if _is_folded(old.qkv) else None


def levit_downsample(old: nn.Module, *, strided: bool = False) -> nn.Module | None:
    """Build the attention that halves the map, under the same condition."""
    assert isinstance(old, AttentionDownsample)
    return LevitDownsample(old, strided) if _is_folded(old.kv) and _is_folded(old.q.ln) else None


def _only_skips(down: nn.Module) -> bool:
    return down.kernel_size == 1 if isinstance(down, nn.AvgPool2d) else isinstance(down, Downsample) and not down.pool


def _skipping(query: Affine, old: AttentionDownsample) -> nn.Module:
    layer = query.pointwise()
    layer.stride = (old.stride, old.stride)
    return layer if old.use_conv else Skipping(layer, (old.resolution[0], old.resolution[1]))


def _is_folded(layer: nn.Module) -> bool:
    return type(layer) is nn.Linear or is_pointwise(layer)


def _bias(old: Attention | AttentionDownsample) -> Tensor:
    table: Tensor = old.attention_biases.detach()
    return table[:, old.attention_bias_idxs]


def _parts(*sizes: int) -> list[slice]:
    ends = torch.tensor(sizes).cumsum(0).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _of_heads(affine: Affine, heads: int, part: slice) -> Affine:
    """Pick the same part of every head; timm lays the channels out head by head."""
    order = torch.arange(affine.weight.shape[0]).reshape(heads, -1)[:, part]
    return affine.picked(order.flatten())
