"""Run MobileViT's blocks on rows of tokens: unfold and fold as copies of rows, nothing above rank four.

Principle: all of the transformer but attention works on single tokens, so the tokens may lie in any order. They are
grouped once by their place in a patch (``patches.by_place``), with the fewer channels of the convolutions around the
transformer, and stay (tokens, channels) matrices: a linear layer is one matrix product without reshapes. The 1x1
convolutions at both ends become linear layers; gain and shift of every norm, the score's scale and, where the norms ask
for it, the centring are folded into weights. ``apart`` makes q, k and v layers of their own: LiteRT's GPU delegate cuts
no matrix (time on its CPU 0.98; AMD EPYC, 2026-11-21).
Measured on MobileViT-S against the vendors' recipes: ONNX 1.07 to 1.16, LiteRT 0.92 to 1.21 from run to run (AMD EPYC,
one thread, 2026-11-21, docs/rewrites.md).
Source: timm's MobileVitBlock (Mehta and Rastegari, arXiv:2110.02178).
Shapes: maps (N, C, H, W), H and W of any size (odd ones are resized, as in timm).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from timm.layers import Attention, Mlp
from timm.models.mobilevit import MobileVitBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .affine import Affine, is_pointwise
from .attention import covered
from .fuse import is_folded
from .norms import NormForm, TokenNorm
from .patches import by_place, from_places


class TokenLayer(nn.Module):
    """Be one transformer layer on (tokens, channels); attention is among ``count`` tokens each."""

    def __init__(self, old: Block, norm: NormForm, apart: bool) -> None:
        super().__init__()
        attn = old.attn
        assert isinstance(attn, Attention)
        self.heads, self.head_dim = attn.num_heads, attn.head_dim
        out, last = Affine.of(attn.proj), Affine.of(old.mlp.fc2)
        if norm != "native":
            out, last = out.centred(), last.centred()
        channels = self.heads * self.head_dim
        qkv = Affine.of(attn.qkv).after(old.norm1).scaled(attn.scale, stop=channels)
        parts = qkv.split(*3 * [channels]) if apart else (qkv,)
        self.qkv = nn.ModuleList(part.linear() for part in parts)
        self.out = out.linear()
        self.norm1 = TokenNorm(old.norm1, norm)
        self.norm2 = TokenNorm(old.norm2, norm)
        self.first = Affine.of(old.mlp.fc1).after(old.norm2).linear()
        self.act = old.mlp.act
        self.last = last.linear()

    def forward(self, x: Tensor, count: int) -> Tensor:
        y, channels = self.norm1(x), self.heads * self.head_dim
        parts = [layer(y) for layer in self.qkv]
        if len(parts) == 1:
            y = parts[0]
            parts = [y[:, :channels], y[:, channels : 2 * channels], y[:, 2 * channels :]]
        q, k, v = (part.reshape(-1, count, self.heads, self.head_dim) for part in parts)
        scores = q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1)
        mixed = scores.softmax(-1) @ v.permute(0, 2, 1, 3)
        x = x + self.out(mixed.permute(0, 2, 1, 3).reshape(-1, channels))
        out: Tensor = x + self.last(self.act(self.first(self.norm2(x))))
        return out


class TokenMobileVit(nn.Module):
    """Be a MobileVitBlock."""

    def __init__(self, old: MobileVitBlock, norm: NormForm, apart: bool) -> None:
        super().__init__()
        self.local = old.conv_kxk
        self.patch_hw = old.patch_size
        embed = Affine.of(old.conv_1x1)
        self.embed = (embed if norm == "native" else embed.centred()).linear()
        self.layers = nn.ModuleList(TokenLayer(layer, norm, apart) for layer in old.transformer)
        self.norm = TokenNorm(old.norm, norm)
        self.project = Affine.of(old.conv_proj.conv).after(old.norm).linear()
        self.act = old.conv_proj.bn
        self.fusion = old.conv_fusion

    def forward(self, x: Tensor) -> Tensor:
        """Take and give maps (N, C, H, W)."""
        y = self.local(x)
        size = (y.shape[2], y.shape[3])
        h, w = self.patch_hw
        even = (math.ceil(size[0] / h) * h, math.ceil(size[1] / w) * w)
        if even != size:
            y = F.interpolate(y, even, mode="bilinear", align_corners=False)
        tokens = by_place(y.permute(0, 2, 3, 1), self.patch_hw)
        count = tokens.shape[1]
        tokens = self.embed(tokens.reshape(-1, tokens.shape[2]))
        for layer in self.layers:
            tokens = layer(tokens, count)
        tokens = self.project(self.norm(tokens))
        if even == size:
            tokens = self.act(tokens)
        y = from_places(tokens.reshape(-1, count, tokens.shape[1]), self.patch_hw, even).permute(0, 3, 1, 2)
        if even != size:
            y = self.act(F.interpolate(y, size, mode="bilinear", align_corners=False))
        out: Tensor = y if self.fusion is None else self.fusion(torch.cat((x, y), 1))
        return out


def token_mobilevit(old: nn.Module, norm: NormForm, *, apart: bool = False) -> nn.Module | None:
    """Build a block on rows of tokens."""
    assert isinstance(old, MobileVitBlock)
    return TokenMobileVit(old, norm, apart) if token_wise(old) else None


def token_wise(old: MobileVitBlock) -> bool:
    """Tell whether a block is as published. Layer scales, other norms or other attention are not covered."""
    return is_pointwise(old.conv_1x1) and isinstance(old.norm, nn.LayerNorm) and _is_plain_layer_list(old)


def _is_plain_layer_list(old: MobileVitBlock) -> bool:
    if not is_folded(old.conv_proj) or not is_pointwise(old.conv_proj.conv):
        return False
    return all(type(layer) is Block and _is_plain_layer(layer) for layer in old.transformer)


def _is_plain_layer(layer: Block) -> bool:
    norms = isinstance(layer.norm1, nn.LayerNorm) and isinstance(layer.norm2, nn.LayerNorm)
    scales = isinstance(layer.ls1, nn.Identity) and isinstance(layer.ls2, nn.Identity)
    mlp = type(layer.mlp) is Mlp and isinstance(layer.mlp.norm, nn.Identity)
    return norms and scales and mlp and covered(layer.attn)
