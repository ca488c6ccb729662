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


class Skip(nn.Module):
    """Keep every second row and column of each picture's tokens."""

    def __init__(self, search_side: int, template_side: int) -> None:
        super().__init__()
        self.sides = search_side, template_side

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, tokens of the search, then of the template, C)."""
        search, template = self.sides
        parts = x[:, : search**2], x[:, search**2 :]
        kept = [
            part.reshape(-1, side, side, x.shape[2])[:, ::2, ::2].reshape(-1, (-(-side // 2)) ** 2, x.shape[2])
            for part, side in zip(parts, (search, template), strict=True)
        ]
        return torch.cat(kept, 1)


class JointLevit(nn.Module):
    """Be LeViT's stem for one picture, and its three stages for the tokens of both."""

    def __init__(self, size: HitSize) -> None:
        super().__init__()
        levit = Levit(
            img_size=size.search,
            num_classes=0,
            embed_dim=size.widths,
            key_dim=size.key_dim,
            depth=size.depths,
            num_heads=size.heads,
            drop_path_rate=size.drop_path,
        )
        self.stem, self.stages = levit.stem, levit.stages
        finer = size.search_sides[0], size.template_sides[0]
        for stage, sides in zip(self.stages, zip(size.search_sides, size.template_sides, strict=True), strict=True):
            for part in stage.modules():
                if isinstance(part, Attention):
                    _lay(part, _places(*sides), _places(*sides))
                elif isinstance(part, AttentionDownsample):
                    _lay(part, 2 * _places(*sides), _places(*finer))
                    part.q.down = Skip(*finer)
            finer = sides

    def tokens(self, image: Tensor) -> Tensor:
        """Answer a picture (N, 3, H, W) with tokens (N, H * W / 256, C)."""
        answer: Tensor = self.stem(image)
        return answer.flatten(2).transpose(1, 2)

    def forward(self, search: Tensor, template: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the tokens of both pictures; answer those of each stage, the search's first."""
        first: Tensor = self.stages[0](torch.cat((search, template), 1))
        second: Tensor = self.stages[1](first)
        third: Tensor = self.stages[2](second)
        return first, second, third


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
