"""Make timm's LeViT look at two pictures at once, with attention over the tokens of both.

Everything that LeViT and HiT share stays timm's: stem, blocks, normalised layers, and the attention itself, which
takes any tokens. What it knows of ONE square picture is laid anew here: the table of attention biases, which has an
entry for every distance (|rows|, |columns|) of two tokens, and the skipping of rows and columns. The classes stay
timm's own, because ``edgevit.kernels.rewrites`` goes by them: a HiT is rewritten for its target as a LeViT is.

Two pictures on one plane: the template's tokens are numbered on diagonally behind the search's last ones, so a
distance between the pictures is never one within them that is nearer (dual-image position encoding).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from timm.models.levit import Attention, AttentionDownsample, Levit
from torch import Tensor, nn

from .sizes import HitSize


class Stem(nn.Module):
    """Answer a picture (N, 3, H, W) with what ``HiT.prepare`` keeps of a template: its tokens (N, H * W / 256, C)."""

    def __init__(self, convs: nn.Sequential) -> None:
        super().__init__()
        self.convs = convs

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the tokens alone."""
        return (as_tokens(self.convs(image)),)


class Skip(nn.Module):
    """Keep every second row and column of each picture's tokens."""

    def __init__(self, search_side: int, template_side: int) -> None:
        super().__init__()
        self.sides = search_side, template_side

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, tokens of the search, then of the template, C)."""
        first = self.sides[0] ** 2
        parts = zip((x[:, :first], x[:, first:]), self.sides, strict=True)
        return torch.cat([as_tokens(as_map(part, side)[:, :, ::2, ::2]) for part, side in parts], 1)


def joint_levit(size: HitSize) -> Levit:
    """Build timm's LeViT and lay its attention out for two pictures."""
    levit = Levit(
        img_size=size.search,
        num_classes=0,
        embed_dim=size.widths,
        key_dim=size.key_dim,
        depth=size.depths,
        num_heads=size.heads,
        drop_path_rate=size.drop_path,
    )
    finer = size.search_sides[0], size.template_sides[0]
    for stage, sides in zip(levit.stages, zip(size.search_sides, size.template_sides, strict=True), strict=True):
        for part in stage.modules():
            if isinstance(part, Attention):
                _lay(part, _places(*sides), _places(*sides))
            elif isinstance(part, AttentionDownsample):
                _lay(part, 2 * _places(*sides), _places(*finer))
                part.q.down = Skip(*finer)
        finer = sides
    return levit


def as_map(tokens: Tensor, side: int) -> Tensor:
    """Turn tokens (N, side * side, C) into a map (N, C, side, side)."""
    return tokens.transpose(1, 2).reshape(-1, tokens.shape[2], side, side)


def as_tokens(x: Tensor) -> Tensor:
    """Turn a map into tokens."""
    return x.flatten(2).transpose(1, 2)


def _places(search_side: int, template_side: int) -> Tensor:
    """Return row and column of every token, (tokens, 2)."""
    search = torch.cartesian_prod(*2 * [torch.arange(search_side)])
    template = torch.cartesian_prod(*2 * [search_side + torch.arange(template_side)])
    return torch.cat((search, template))


def _lay(attention: Any, queries: Tensor, keys: Tensor) -> None:
    """Give an attention a table for the distances between these places.

    Entries are numbered as the distances first come up, query by query, which is the order of the authors' files.
    """
    rows, columns = (queries[:, None] - keys[None]).abs().unbind(2)
    codes = (rows * (1 + int(columns.max())) + columns).numpy()
    _, first, entry = np.unique(codes, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    indices = torch.from_numpy(number[entry].reshape(codes.shape))
    attention.attention_biases = nn.Parameter(torch.zeros(attention.num_heads, len(first)))
    attention.register_buffer("attention_bias_idxs", indices, persistent=False)
