"""Blend boxes and text into a picture, in place. Numpy only; what reaches over the edge is cut off there."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from .lettering import Mask, ink

U8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]


def blend(canvas: U8, top: int, left: int, cover: Mask, colour: Colour, opacity: float = 1.0) -> None:
    """Lay a colour over the canvas, as far as the mask covers each pixel."""
    height, width = canvas.shape[:2]
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(height, top + cover.shape[0]), min(width, left + cover.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    weight = cover[y0 - top : y1 - top, x0 - left : x1 - left, None].astype(np.float32) * np.float32(opacity / 255)
    under = canvas[y0:y1, x0:x1].astype(np.float32)
    canvas[y0:y1, x0:x1] = (under + (np.asarray(colour, np.float32) - under) * weight + np.float32(0.5)).astype(
        np.uint8
    )


def box(
    canvas: U8, top: int, left: int, size_hw: tuple[int, int], colour: Colour, opacity: float, radius: int = 0
) -> None:
    """Lay a box with round corners over the canvas."""
    if min(size_hw) > 0:
        blend(canvas, top, left, _rounded(*size_hw, min(radius, min(size_hw) // 2)), colour, opacity)


def text(canvas: U8, top: int, left: int, words: str, size_px: int, colour: Colour) -> None:
    """Write one line; ``top`` is the top of the line, not of its letters."""
    if words:
        blend(canvas, top, left, ink(words, size_px), colour)


@functools.lru_cache(maxsize=64)
def _rounded(height: int, width: int, radius: int) -> Mask:
    y = np.maximum(0, radius - 0.5 - np.minimum(np.arange(height), np.arange(height)[::-1]))[:, None]
    x = np.maximum(0, radius - 0.5 - np.minimum(np.arange(width), np.arange(width)[::-1]))[None, :]
    inside = np.clip(radius + 0.5 - np.sqrt(x * x + y * y), 0, 1) if radius else np.ones((height, width))
    return (inside * 255).astype(np.uint8)
