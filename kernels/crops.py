"""Cut a square out of a frame, beyond its edges too: what lies outside is black, as trackers saw it in training.

Arithmetic ``hit/1`` (docs/operations.md): the square's corner is a whole pixel; where the square reaches the frame's
last column or row, that one is black too, as in the code that the published trackers were trained with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevit.errors import InputError

from .forms import Pixels
from .frames import checked

CROP = ("hit/1",)
"""The versions of this arithmetic, as bundles name them."""

LONGEST_SQUARE = 1 << 14
"""Pixels of a side; three bytes for each of its square are taken."""


def cut_square(pixels: Any, left: int, top: int, side: int, *, color: str) -> Pixels:
    """Return the square (side, side, 3) in RGB order; ``color`` is that of ``pixels`` (``frames.py`` lists them).

    A square that lies within an RGB frame is a view of it: nothing is copied.
    """
    frame = checked(pixels, color)
    if not 1 <= side <= LONGEST_SQUARE:
        raise InputError(f"A square of {side} pixels cannot be cut. Expected 1 to {LONGEST_SQUARE}; is the box sound?")
    rows, columns = (_inside(*span) for span in ((top, side, frame.size_hw[0]), (left, side, frame.size_hw[1])))
    if rows.stop - rows.start == columns.stop - columns.start == side:
        return _rgb_part(frame.data, frame.layout, rows, columns)
    out = np.zeros((side, side, 3), np.uint8)
    if rows.start < rows.stop and columns.start < columns.stop:
        part = _rgb_part(frame.data, frame.layout, rows, columns)
        out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return out


def fade_outside(square: Pixels, rows: slice, columns: slice) -> Pixels:
    """Return a copy in which all but these rows and columns is half as far from mid grey: ``level // 2 + 64``."""
    faded: Pixels = (square >> 1) + np.uint8(64)
    faded[rows, columns] = square[rows, columns]
    return faded


def _inside(first: int, side: int, length: int) -> slice:
    beyond = max(first + side - length + 1, 0)
    return slice(max(0, first), first + side - beyond)


def _rgb_part(data: Pixels, layout: str, rows: slice, columns: slice) -> Pixels:
    """Convert only what is asked for; chroma is shared by two rows and columns, so those edges are made even first."""
    if layout == "rgb":
        return data[rows, columns]
    if layout == "bgr":
        return data[rows, columns, ::-1]
    frame = checked(data, layout)
    height, width = frame.size_hw
    wide = slice(rows.start // 2 * 2, min(height, (rows.stop + 1) // 2 * 2))
    long = slice(columns.start // 2 * 2, min(width, (columns.stop + 1) // 2 * 2))
    source = frame.window(wide, long, to_bgr=False)
    packed = source.pixels[..., list(source.channels)]
    return packed[rows.start - wide.start :, columns.start - long.start :][
        : rows.stop - rows.start, : columns.stop - columns.start
    ]
