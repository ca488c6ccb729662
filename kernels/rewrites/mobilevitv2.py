"""Run MobileViTv2's separable attention on rows of tokens, or channels first, with nothing above rank four.

Principle: the context vector is a weighted sum of keys over the patches, that is a product (1, patches) x (patches,
channels); as timm multiplies and sums, LiteRT's converter refuses it ("'tfl.mul' op operands don't have
broadcast-compatible shapes"). As a product it converts, and no map of weighted keys is written to memory. timm's unfold
is of rank six, which neither Core ML nor LiteRT's GPU delegate takes; here it is two transposes of rank four.
Measured on 1.0: ONNX 1.06 to 1.15 against the vendor's recipe from run to run, 1.03 to 1.22 against plain; LiteRT takes
no other form (AMD EPYC, one thread, 2026-11-21, docs/rewrites.md).
Source: timm's MobileVitV2Block (Mehta and Rastegari, arXiv:2206.02680). Shapes: maps (N, C, H, W).
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from timm.layers import ConvMlp, GroupNorm1
from timm.models.mobilevit import LinearTransformerBlock, MobileVitV2Block
from torch import Tensor, nn

from .affine import Affine, is_pointwise
from .fuse import is_folded
from .norms import MapNorm, NormForm
from .patches import by_place, by_place_first, from_places, from_places_first


class SeparableLayer(nn.Module):
    """Be a LinearTransformerBlock on tokens (N * places * patches, C), or with ``first`` on (N, C, places, patches)."""

    def __init__(self, old: LinearTransformerBlock, norm: NormForm, first: bool) -> None:
        super().__init__()
        attn, mlp = old.attn, old.mlp
        channels = attn.embed_dim
        parts = Affine.of(attn.qkv_proj).after(old.norm1).split(1, channels, channels)
        grow = Affine.of(mlp.fc1).after(old.norm2)
        self.query, self.key, self.value = (p.pointwise() if first else p.linear() for p in parts)
        self.out = _layer(Affine.of(attn.out_proj), first)
        self.norm1 = MapNorm(old.norm1, norm, last=not first)
        self.norm2 = MapNorm(old.norm2, norm, last=not first)
        self.grow = _layer(grow, first)
        self.act = mlp.act
        self.shrink = _layer(Affine.of(mlp.fc2), first)
        self.first = first

    def forward(self, x: Tensor, places: int, patches: int) -> Tensor:
        x = x + self.out(self._mixed(self._normed(self.norm1, x, places * patches), patches))
        out: Tensor = x + self.shrink(self.act(self.grow(self._normed(self.norm2, x, places * patches))))
        return out

    def _normed(self, norm: nn.Module, x: Tensor, count: int) -> Tensor:
        out: Tensor = norm(x) if self.first else norm(x.reshape(-1, count, x.shape[1])).reshape(-1, x.shape[1])
        return out

    def _mixed(self, y: Tensor, patches: int) -> Tensor:
        query, key, value = (part(y) for part in (self.query, self.key, self.value))
        context: Tensor
        if self.first:
            context = (query.softmax(-1) * key).sum(-1, keepdim=True)
            return F.relu(value) * context
        channels = key.shape[1]
        weights = query.reshape(-1, 1, patches).softmax(-1)
        context = weights @ key.reshape(-1, patches, channels)
        mixed = F.relu(value).reshape(-1, patches, channels) * context
        return mixed.reshape(-1, channels)


class SeparableMobileVit(nn.Module):
    """Be a MobileVitV2Block."""

    def __init__(self, old: MobileVitV2Block, norm: NormForm, first: bool) -> None:
        super().__init__()
        self.local = old.conv_kxk
        self.patch_hw = old.patch_size
        embed = Affine.of(old.conv_1x1)
        self.embed = _layer(embed, first)
        self.layers = nn.ModuleList(SeparableLayer(layer, norm, first) for layer in old.transformer)
        self.norm = MapNorm(old.norm, norm, last=not first)
        self.project = _layer(Affine.of(old.conv_proj.conv).after(old.norm), first)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        h, w = self.patch_hw
        size = (math.ceil(x.shape[2] / h) * h, math.ceil(x.shape[3] / w) * w)
        if size != (x.shape[2], x.shape[3]):
            x = F.interpolate(x, size, mode="bilinear", align_corners=True)
        y, places, patches = self.local(x), h * w, (size[0] // h) * (size[1] // w)
        if self.first:
            y = by_place_first(self.embed(y), self.patch_hw)
            for layer in self.layers:
                y = layer(y, places, patches)
            return from_places_first(self.project(self.norm(y)), self.patch_hw, size)
        y = by_place(y.permute(0, 2, 3, 1), self.patch_hw)
        y = self.embed(y.reshape(-1, y.shape[2]))
        for layer in self.layers:
            y = layer(y, places, patches)
        y = self.norm(y.reshape(-1, places * patches, y.shape[1]))
        y = self.project(y.reshape(-1, y.shape[2]))
        return from_places(y.reshape(-1, patches, y.shape[1]), self.patch_hw, size).permute(0, 3, 1, 2)


def separable_mobilevit(old: nn.Module, norm: NormForm, *, first: bool = False) -> nn.Module | None:
    """Build a block; other norms than GroupNorm of one group, and a projection with an activation, are not covered."""
    assert isinstance(old, MobileVitV2Block)
    ends = is_pointwise(old.conv_1x1) and is_folded(old.conv_proj) and is_pointwise(old.conv_proj.conv)
    norms = isinstance(old.conv_proj.bn, nn.Identity) and type(old.norm) is GroupNorm1
    plain = ends and norms and all(_is_plain(layer) for layer in old.transformer)
    return SeparableMobileVit(old, norm, first) if plain else None


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is not LinearTransformerBlock or type(layer.mlp) is not ConvMlp:
        return False
    norms = type(layer.norm1) is GroupNorm1 and type(layer.norm2) is GroupNorm1
    return norms and isinstance(layer.mlp.norm, nn.Identity)


def _layer(affine: Affine, first: bool) -> nn.Module:
    return affine.pointwise() if first else affine.linear()
