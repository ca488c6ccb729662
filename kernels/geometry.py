"""Say where every pixel of the input comes from: the sizes, crops and borders of timm's evaluation transform.

Each fit repeats the arithmetic of one timm crop mode, with its own way of rounding:

* ``shorter`` (timm ``center``): a square ``resize_hw`` follows torchvision's ``Resize(int)``, which cuts the longer
  side down to a whole number; any other follows timm's ``ResizeKeepRatio``, which rounds both.
* ``squash``: both sides become ``resize_hw``.
* ``pad`` (timm ``border``): the longer side is fitted, the input is cut out or bordered around the centre.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.spec import ImageSpec


@dataclass(frozen=True)
class Span:
    """Describe one axis: of ``resized`` positions keep ``count`` from ``first`` on, and lay them at ``offset``."""

    resized: int
    first: int
    count: int
    offset: int


def spans(source_hw: tuple[int, int], image: ImageSpec) -> tuple[Span, Span]:
    """Return the vertical and the horizontal span of a picture of ``source_hw``."""
    resized_hw = _resized(source_hw, image)
    vertical, horizontal = (_centred(r, s) for r, s in zip(resized_hw, image.size_hw, strict=True))
    return vertical, horizontal


def _resized(source_hw: tuple[int, int], image: ImageSpec) -> tuple[int, int]:
    height, width = source_hw
    to_height, to_width = image.resize_hw
    if image.fit == "squash":
        return image.resize_hw
    if image.fit == "shorter" and to_height == to_width:
        long = int(to_height * max(source_hw) / min(source_hw))
        return (long, to_height) if width <= height else (to_height, long)
    keep = max if image.fit == "pad" else min
    ratio = keep(height / to_height, width / to_width)
    # A sliver keeps at least one pixel, where timm stops with an error.
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _centred(resized: int, size: int) -> Span:
    if resized >= size:
        # Halves go to the even neighbour: Python's round, as torchvision's CenterCrop has it.
        return Span(resized, round((resized - size) / 2.0), size, 0)
    return Span(resized, 0, resized, (size - resized) // 2)
