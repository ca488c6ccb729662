"""Find the square around a box that a tracker looks at, and turn its answer back into a box of the frame.

This is the published trackers' arithmetic to the last rounding (operation ``hit/1``): the square's side is rounded up,
its corner as Python rounds (halves go to the even neighbour), and the answer is laid around the box's exact centre.
Boxes are x, y, w, h in pixels of the frame, floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Box = tuple[float, float, float, float]

LEAST_SIDE = 1


@dataclass(frozen=True)
class Square:
    """Hold a square of whole pixels, and the exact point that it was laid around."""

    left: int
    top: int
    side: int
    centre_xy: tuple[float, float]


def square_around(box_xywh: Box, factor: float) -> Square:
    """Return the square whose side is ``factor`` times the geometric mean of the box's sides."""
    x, y, w, h = box_xywh
    side = max(LEAST_SIDE, math.ceil(math.sqrt(w * h) * factor))
    return Square(round(x + 0.5 * w - side * 0.5), round(y + 0.5 * h - side * 0.5), side, (x + 0.5 * w, y + 0.5 * h))


def within(square: Square, box_xywh: Box) -> tuple[slice, slice]:
    """Return the rows and columns of the square that a box of the frame takes, one of each at least."""
    x, y, w, h = box_xywh
    return _pixels(y - square.top, h), _pixels(x - square.left, w)


def box_in_frame(square: Square, box_cxcywh: Box) -> Box:
    """Turn centre and size, in shares of the square, into a box of the frame."""
    cx, cy, w, h = (value * square.side for value in box_cxcywh)
    half = 0.5 * square.side
    left, top = square.centre_xy[0] - half, square.centre_xy[1] - half
    return left + cx - 0.5 * w, top + cy - 0.5 * h, w, h


def clipped(box_xywh: Box, size_hw: tuple[int, int], margin: float) -> Box:
    """Keep a box in the picture, ``margin`` pixels of it at least; a picture smaller than that is taken whole."""
    x, y, w, h = box_xywh
    height, width = size_hw
    left, right = _clipped_span(x, x + w, width, min(margin, width))
    top, bottom = _clipped_span(y, y + h, height, min(margin, height))
    return left, top, right - left, bottom - top


def _pixels(first: float, length: float) -> slice:
    start = max(0, round(first))
    return slice(start, max(start + 1, round(first + length)))


def _clipped_span(first: float, last: float, length: float, margin: float) -> tuple[float, float]:
    first = min(max(0.0, first), length - margin)
    last = min(max(margin, last), length)
    return first, first + max(margin, last - first)
