"""Read the boxes and points that callers name, in pixels: what cannot be is refused before any frame comes, if it can.

Whether a box fits its picture is seen in the first frame, whether it is a box at all when it is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from edgevit.errors import InputError

from .frame import Frame

Box = tuple[float, float, float, float]
Place = Sequence[float] | Callable[[Frame], Sequence[float]]
"""Left, top, right, bottom in pixels, or what finds them in a frame."""

_LEAST_PX = 1.0
"""A side of less holds nothing."""
_LARGEST = 2.0
"""Times the picture that a box may be wide: what is drawn over the edge is, what is typed wrong is more."""

_CORNERS = "A box is four finite numbers left, top, right, bottom, such as (20, 20, 60, 60)"
_POINT = "A point is two finite numbers x, y, such as (40, 40)"


def box_of(corners_xyxy: Any) -> Box:
    """Return x, y, width, height of a box that was named by left, top, right, bottom."""
    left, top, right, bottom = _numbers(corners_xyxy, 4, _CORNERS)
    if right < left or bottom < top:
        meant = f"{left:g}, {top:g}, {left + right:g}, {top + bottom:g}"
        raise InputError(
            f"A box of {right - left:g} x {bottom - top:g} pixels holds nothing to follow. Expected are left, top, "
            f"right, bottom; if x, y, width, height were meant, type: ({meant})"
        )
    return sized_box((left, top, right - left, bottom - top))


def point_of(point_xy: Any) -> tuple[float, float]:
    """Return the two numbers of a point."""
    x, y = _numbers(point_xy, 2, _POINT)
    return x, y


def checked_place(place: Place) -> Place:
    """Return where a later frame's target will be; what finds it there is asked only then."""
    if not callable(place):
        box_of(place)
    return place


def sized_box(box_xywh: Sequence[float]) -> Box:
    """Return a box x, y, width, height that can hold something, wherever it lies."""
    x, y, w, h = _numbers(box_xywh, 4, "A box is four finite numbers x, y, width, height")
    if w < _LEAST_PX or h < _LEAST_PX:
        raise InputError(f"A box of {w:g} x {h:g} pixels holds nothing to follow. Draw one of a pixel a side or more.")
    return x, y, w, h


def sound_box(box_xywh: Sequence[float], size_hw: tuple[int, int]) -> Box:
    """Return a box x, y, width, height that lies in a picture of this size, at least in part."""
    x, y, w, h = box = sized_box(box_xywh)
    height, width = size_hw
    where = f"The box {x:g},{y:g},{w:g},{h:g}"
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise InputError(f"{where} lies outside the picture of {width} x {height} pixels. Draw one inside it.")
    if w > _LARGEST * width or h > _LARGEST * height:
        raise InputError(
            f"{where} is far larger than the picture of {width} x {height} pixels. Draw one around the target alone."
        )
    return box


def _numbers(given: Any, count: int, expected: str) -> tuple[float, ...]:
    try:
        values = () if isinstance(given, (str, bytes)) else tuple(float(value) for value in given)
    except (TypeError, ValueError):
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputError(f"{expected}, not {_shown(given)}.")
    return values


def _shown(given: Any) -> str:
    try:
        return f"({', '.join(f'{value:g}' for value in given)})"
    except (TypeError, ValueError):
        return repr(given)
