"""Hold the user's photographs in memory as squares of bytes: all that is drawn for the tracker is cut from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from edgevit.errors import InputError
from edgevit.pictures import list_pictures, read_picture

SIDE = 256
FEWEST = 2
"""One photograph to cut an object from, and another one to lay it on."""


@dataclass(frozen=True)
class Textures:
    """Hold ``photos``: (N, 3, 256, 256) of uint8 in RGB order, the middle square of each picture."""

    photos: Tensor

    def __len__(self) -> int:
        return len(self.photos)

    def split(self, every: int = 20) -> tuple[Textures, Textures]:
        """Return the photographs to learn from, and every n-th (at least two) that only measures."""
        if len(self) < 2 * FEWEST:
            raise InputError(
                f"{len(self)} pictures are too few to learn from and to measure with: {2 * FEWEST} are the fewest, "
                "some hundreds are what teaches."
            )
        held = torch.zeros(len(self), dtype=torch.bool)
        held[:: min(every, len(self) // FEWEST)] = True
        return Textures(self.photos[~held]), Textures(self.photos[held])

    def to(self, device: str) -> Textures:
        """Move to the device that renders."""
        return Textures(self.photos.to(device))


def read_textures(folder: str | os.PathLike[str], *, limit: int = 0) -> Textures:
    """Read every picture of a folder, or the first few; a damaged one is named and ends it."""
    paths: Sequence[Path] = list_pictures(folder)
    if limit:
        paths = paths[:limit]
    if len(paths) < FEWEST:
        raise InputError(
            f"The folder {folder} has {len(paths) or 'no'} picture{'s' if len(paths) != 1 else ''}; objects and what "
            f"lies behind them are cut from at least {FEWEST}. Name a folder of photographs with --pictures."
        )
    photos = torch.empty((len(paths), 3, SIDE, SIDE), dtype=torch.uint8)
    for place, path in enumerate(paths):
        photos[place] = _square(torch.from_numpy(read_picture(path)))
    return Textures(photos)


def _square(rgb: Tensor) -> Tensor:
    """Return the middle square of (H, W, 3), shrunk with the neighbourhood of each pixel taken into account."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = rgb[top : top + side, left : left + side].permute(2, 0, 1)[None].float()
    sized = F.interpolate(middle, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return sized[0].round().clamp(0, 255).to(torch.uint8)
