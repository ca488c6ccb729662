"""Lay many pictures out on one sheet, with a line of text under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevit.errors import InputError
from edgevit.kernels import resize

from .canvas import U8, Colour, text
from .lettering import ink, shortened

PAPER: Colour = (24, 26, 31)
PLAIN: Colour = (222, 226, 232)
RIGHT: Colour = (98, 214, 150)
WRONG: Colour = (255, 120, 108)
_COLOURS: Mapping[bool | None, Colour] = {None: PLAIN, True: RIGHT, False: WRONG}


def contact_sheet(
    pictures: Sequence[U8],
    *,
    columns: int,
    cell_hw: tuple[int, int],
    captions: Sequence[str] | None = None,
    right: Sequence[bool | None] | None = None,
) -> U8:
    """Return a sheet of pictures, each scaled to fit its cell, row by row.

    ``right`` colours the captions: green for True, red for False.
    """
    if not pictures or columns < 1 or min(cell_hw) < 8:
        raise InputError(
            "A contact sheet needs a picture or more, a column or more, and cells of 8 x 8 pixels or more."
        )
    for name, line in (("captions", captions), ("right", right)):
        if line is not None and len(line) != len(pictures):
            raise InputError(f"A contact sheet of {len(pictures)} pictures needs as many {name}, not {len(line)}.")
    gap = max(4, min(cell_hw) // 20)
    letter = max(8, round(4 + 0.055 * min(cell_hw)))
    line_h = ink("Ag", letter).shape[0] + gap // 2 if captions else 0
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    step_h, step_w = cell_hw[0] + line_h + gap, cell_hw[1] + gap
    sheet = np.empty((rows * step_h + gap, columns * step_w + gap, 3), np.uint8)
    sheet[:] = PAPER
    for number, picture in enumerate(pictures):
        top, left = gap + number // columns * step_h, gap + number % columns * step_w
        _paste(sheet, top, left, picture, cell_hw)
        if captions:
            words = shortened(captions[number], letter, cell_hw[1])
            ink_w = ink(words, letter).shape[1] if words else 0
            colour = _COLOURS[right[number] if right else None]
            text(sheet, top + cell_hw[0] + gap // 4, left + (cell_hw[1] - ink_w) // 2, words, letter, colour)
    return sheet


def _paste(sheet: U8, top: int, left: int, picture: U8, cell_hw: tuple[int, int]) -> None:
    """Scale the picture to fit the cell and set it in its middle."""
    scale = min(cell_hw[0] / picture.shape[0], cell_hw[1] / picture.shape[1])
    height, width = (max(1, min(full, round(side * scale))) for side, full in zip(picture.shape, cell_hw, strict=False))
    top, left = top + (cell_hw[0] - height) // 2, left + (cell_hw[1] - width) // 2
    sheet[top : top + height, left : left + width] = resize(picture, (height, width), "bicubic")
