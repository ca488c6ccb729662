"""Keep transformers channels first for Apple's Neural Engine: maps (N, C, 1, positions), 1x1 convolutions for layers.

Principle: the Neural Engine computes on (N, C, 1, S) with the last axis laid out whole, so a layer over channels is a
1x1 convolution, heads are cut along the channels, and the products of attention take q, k and v as they lie, without a
transpose in memory. Source: Apple, Deploying Transformers on the Apple Neural Engine (2022), principles 1 to 3.
This is the vendor's rule: no Neural Engine was at hand, so no gain is claimed; equality is proven like all else.
Shapes: MobileViT's block takes maps (N, C, H, W); LeViT's stages run on (N, C, 1, H * W) from the stem to the head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.levit import Attention as LevitAttention
from timm.models.levit import AttentionDownsample, Downsample, Levit, LevitDistilled
from timm.models.mobilevit import MobileVitBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .affine import Affine
from .levit import Shrink
from .mobilevit import token_wise
from .patches import by_place_first, from_places_first


class ChannelNorm(nn.Module):
    """Be a LayerNorm over the channels of (N, C, 1, S), without gain and shift."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        away = x - x.mean(1, keepdim=True)
        return away * torch.rsqrt((away * away).mean(1, keepdim=True) + self.eps)


class ChannelLayer(nn.Module):
    """Be one transformer layer on (N, C, 1, S)."""

    def __init__(self, old: Block) -> None:
        super().__init__()
        attn = old.attn
        assert isinstance(attn, Attention)
        self.heads = attn.num_heads
        q, k, v = Affine.of(attn.qkv).after(old.norm1).split(*3 * [attn.attn_dim])
        self.q, self.k, self.v = q.scaled(attn.scale).pointwise(), k.pointwise(), v.pointwise()
        self.out = Affine.of(attn.proj).pointwise()
        self.norm1, self.norm2 = ChannelNorm(old.norm1.eps), ChannelNorm(old.norm2.eps)
        self.first = Affine.of(old.mlp.fc1).after(old.norm2).pointwise()
        self.act = old.mlp.act
        self.last = Affine.of(old.mlp.fc2).pointwise()

    def forward(self, x: Tensor) -> Tensor:
        y, (_, channels, _, count) = self.norm1(x), x.shape
        q, k, v = (part(y).reshape(-1, self.heads, channels // self.heads, count) for part in (self.q, self.k, self.v))
        mixed = v @ (q.transpose(2, 3) @ k).softmax(-1).transpose(2, 3)
        x = x + self.out(mixed.reshape(-1, channels, 1, count))
        out: Tensor = x + self.last(self.act(self.first(self.norm2(x))))
        return out


class ChannelMobileVit(nn.Module):
    """Be a MobileVitBlock."""

    def __init__(self, old: MobileVitBlock) -> None:
        super().__init__()
        self.local, self.embed = old.conv_kxk, old.conv_1x1
        self.patch_hw = old.patch_size
        self.layers = nn.Sequential(*(ChannelLayer(layer) for layer in old.transformer))
        self.norm = ChannelNorm(old.norm.eps)
        self.project = Affine.of(old.conv_proj.conv).after(old.norm).pointwise()
        self.act = old.conv_proj.bn
        self.fusion = old.conv_fusion

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        y = self.embed(self.local(x))
        size, (h, w) = (y.shape[2], y.shape[3]), self.patch_hw
        even = (math.ceil(size[0] / h) * h, math.ceil(size[1] / w) * w)
        if even != size:
            y = F.interpolate(y, even, mode="bilinear", align_corners=False)
        _, channels, places, count = (y := by_place_first(y, self.patch_hw)).shape
        y = self.layers(y.permute(0, 2, 1, 3).reshape(-1, channels, 1, count))
        y = self.project(self.norm(y))
        y = y.reshape(-1, places, y.shape[1], count).permute(0, 2, 1, 3)
        y = from_places_first(y, self.patch_hw, even)
        if even != size:
            y = F.interpolate(y, size, mode="bilinear", align_corners=False)
        y = self.act(y)
        out: Tensor = y if self.fusion is None else self.fusion(torch.cat((x, y), 1))
        return out


class Row(nn.Module):
    """Lay a map (N, C, H, W) out as (N, C, 1, H * W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[1], 1, x.shape[2] * x.shape[3])


def channel_mobilevit(old: nn.Module) -> nn.Module | None:
    """Build MobileViT's block, where the block on rows of tokens could be built too."""
    assert isinstance(old, MobileVitBlock)
    return ChannelMobileVit(old) if token_wise(old) else None


def channel_levit(old: nn.Module) -> nn.Module | None:
    """Turn a LeViT on tokens into one on (N, C, 1, S); its attention is swapped by its own rule behind this."""
    assert isinstance(old, (Levit, LevitDistilled))
    if old.use_conv:
        return None
    for name, part in list(old.stages.named_modules()):
        if type(part) is nn.Linear:
            old.stages.set_submodule(name, Affine.of(part).pointwise())
        elif type(part) in (LevitAttention, AttentionDownsample):
            part.use_conv = True
        elif type(part) is Downsample:
            old.stages.set_submodule(name, Shrink(part))
    old.stem = nn.Sequential(old.stem, Row())
    old.use_conv = True
    made: nn.Module = old
    return made
