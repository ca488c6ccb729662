"""Run EfficientFormerV2's attention with a constant bias that has been through the first talking head already.

Principle: ``T1(s q k + b) = T1(s q k) + T1 b``; T1 mixes heads and b is a constant, so ``T1 b`` (with T1's own bias) is
one too, and the mixing itself is a product (heads, heads) x (heads, pairs). No gather is left, and on rows of tokens no
transpose of the scores. With ``whole`` the query's skipping of pixels, a pooling that XNNPACK leaves, becomes a 1 in
the middle of the depthwise kernel that it is added to.
Measured on S0: ONNX 1.05, LiteRT 1.02 of the vendors' recipes (AMD EPYC, one thread, 2026-11-21, docs/rewrites.md).
Source: timm's efficientformer_v2 (Li et al., arXiv:2212.08059). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import torch
from timm.models.efficientformer_v2 import Attention2d, Attention2dDownsample
from torch import Tensor, nn

from .affine import Affine, is_pointwise
from .fuse import is_folded


class TalkingAttention(nn.Module):
    """Be Attention2d."""

    def __init__(self, old: Attention2d) -> None:
        super().__init__()
        self.fewer, self.more = old.stride_conv, old.upsample
        self.core = _Core(old, (old.resolution[0], old.resolution[1]))
        self.q = Affine.of(old.q.conv).scaled(old.scale).pointwise()
        self.k, self.v, self.local = old.k, old.v, old.v_local
        self.act, self.out = old.act, old.proj
        bias = old.attention_biases.detach()[:, old.attention_bias_idxs].double()
        first = Affine.of(old.talking_head1)
        mixed = (first.weight @ bias.flatten(1) + first.bias[:, None]).reshape(bias.shape)
        self.core.talk(first.weight, mixed, Affine.of(old.talking_head2))

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        if self.fewer is not None:
            x = self.fewer(x)
        v = self.v(x)
        x = self.core(self.q(x), self.k(x), v) + self.local(v)
        if self.more is not None:
            x = self.more(x)
        out: Tensor = self.out(self.act(x))
        return out


class DownsampleAttention(nn.Module):
    """Be Attention2dDownsample: q comes from a quarter of the positions."""

    def __init__(self, old: Attention2dDownsample, whole: bool) -> None:
        super().__init__()
        self.core = _Core(old, (old.resolution2[0], old.resolution2[1]))
        self.core.register_buffer("bias", old.attention_biases.detach()[:, old.attention_bias_idxs].clone())
        self.query_local = old.q.local
        self.pool = None if whole and _takes_pool(old.q.local) else old.q.pool
        if self.pool is None:
            with torch.no_grad():
                old.q.local.weight[:, :, 1, 1] += 1
        self.q = Affine.of(old.q.proj.conv).scaled(old.scale).pointwise()
        self.k, self.v, self.local = old.k, old.v, old.v_local
        self.act, self.out = old.act, old.proj

    def forward(self, x: Tensor) -> Tensor:
        """Take maps (N, C, H, W), give (N, C', H/2, W/2)."""
        v = self.v(x)
        q = self.query_local(x)
        if self.pool is not None:
            q = q + self.pool(x)
        out: Tensor = self.out(self.act(self.core(self.q(q), self.k(x), v) + self.local(v)))
        return out


class _Core(nn.Module):
    """Attend from q to k and v, all (N, heads * C, H, W), with talking heads where ``talk`` gave them."""

    def __init__(self, old: Attention2d | Attention2dDownsample, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.heads = old.num_heads
        self.size_hw = size_hw
        self.dtype = old.attention_biases.dtype
        self.bias: Tensor
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def talk(self, first: Tensor, bias: Tensor, second: Affine) -> None:
        """Mix the heads before the softmax (the bias is mixed already) and after it."""
        del self.first, self.second
        self.register_buffer("bias", bias.to(self.dtype))
        self.register_buffer("first", first.to(self.dtype))
        self.register_buffer("second", second.weight.to(self.dtype))
        self.register_buffer("second_bias", second.bias.to(self.dtype)[:, None])
        self.second_bias: Tensor

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (t.reshape(-1, self.heads, t.shape[1] // self.heads, t.shape[2] * t.shape[3]) for t in (q, k, v))
        scores = q.transpose(2, 3) @ k
        queries, keys = scores.shape[2:]
        if self.first is not None:
            scores = (self.first @ scores.flatten(2)).reshape(-1, self.heads, queries, keys)
        scores = (scores + self.bias).softmax(-1)
        if self.second is not None:
            scores = (self.second @ scores.flatten(2) + self.second_bias).reshape(-1, self.heads, queries, keys)
        mixed = v @ scores.transpose(2, 3)
        return mixed.reshape(-1, self.heads * mixed.shape[2], *self.size_hw)


def talking_attention(old: nn.Module) -> nn.Module | None:
    """Build the attention; one whose BatchNorms could not be folded is not covered."""
    assert isinstance(old, Attention2d)
    folded = (
        is_folded(old.q)
        and is_pointwise(old.q.conv)
        and is_pointwise(old.talking_head1)
        and is_pointwise(old.talking_head2)
    )
    return TalkingAttention(old) if folded else None


def downsample_attention(old: nn.Module, *, whole: bool = False) -> nn.Module | None:
    """Build the attention that halves the map, under the same condition."""
    assert isinstance(old, Attention2dDownsample)
    return DownsampleAttention(old, whole) if is_folded(old.q.proj) and is_pointwise(old.q.proj.conv) else None


def _takes_pool(local: nn.Conv2d) -> bool:
    """Tell whether the middle of the kernel falls on the pixels that the pooling, of one with stride two, keeps."""
    plain = local.kernel_size == (3, 3) and local.stride == (2, 2) and local.padding == (1, 1)
    return plain and local.groups == local.in_channels == local.out_channels
