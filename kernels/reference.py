"""Compute everything with numpy alone: the oracle of every other form, and the form of a machine without a library.

Principle: the plain reading of the sums in ``weights.py``, one tap at a time, horizontal pass first and rounded to
whole grey levels between the passes, as Pillow does. Colour is BT.601 of limited range (studio swing) in whole numbers
of 2**-13, rounded half up once, cut to 0..255; each chroma sample serves the pixels it was taken for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .forms import Floats, Pixels, Planes, Source
from .weights import FRACTION_BITS, Axis

# Units of 2**-13: 255/219 and 1.402 * 255/224 = 1.596, -0.392, -0.813, 1.772 * 255/224 = 2.017.
COLOR_BITS = 13
LUMA, RED_V, GREEN_U, GREEN_V, BLUE_U = 9539, 13075, -3209, -6660, 16525


class NumpyForm:
    """Be the form that needs nothing but numpy."""

    name = "numpy"

    def resample(self, source: Source, x: Axis, y: Axis, out: Pixels | Floats, table: Floats | None) -> None:
        """Fill ``out`` by two passes over the axes."""
        columns = _pass_across(source, x)
        levels = _pass_down(columns, y)
        if table is None:
            out[...] = levels
        else:
            _look_up(levels, table, out)

    def normalise(self, pixels: Pixels, table: Floats, out: Floats) -> None:
        """Fill ``out`` channel by channel."""
        _look_up(pixels, table, out)

    def rgb(self, planes: Planes, out: Pixels) -> None:
        """Fill ``out`` with red, green and blue."""
        bright = (planes.luma.astype(np.int32) - 16) * LUMA + (1 << (COLOR_BITS - 1))
        blue, red = (_spread(chroma, planes) for chroma in (planes.u, planes.v))
        sums = (bright + red * RED_V, bright + blue * GREEN_U + red * GREEN_V, bright + blue * BLUE_U)
        for channel, total in enumerate(sums):
            out[..., channel] = np.clip(total >> COLOR_BITS, 0, 255)


def _pass_across(source: Source, x: Axis) -> Pixels:
    picked = [source.pixels[:, :, channel] for channel in source.channels]
    total = np.full((3, source.pixels.shape[0], x.size), 1 << (FRACTION_BITS - 1), np.int32)
    for tap in range(x.taps):
        for channel, plane in enumerate(picked):
            total[channel] += plane[:, x.starts + tap] * x.weights[:, tap]
    return _levels(total)


def _pass_down(planes: Pixels, y: Axis) -> Pixels:
    total = np.full((3, y.size, planes.shape[2]), 1 << (FRACTION_BITS - 1), np.int32)
    for tap in range(y.taps):
        total += planes[:, y.starts + tap] * y.weights[:, tap, None]
    return np.moveaxis(_levels(total), 0, 2)


def _levels(total: NDArray[np.int32]) -> Pixels:
    levels: Pixels = np.clip(total >> FRACTION_BITS, 0, 255).astype(np.uint8)
    return levels


def _look_up(pixels: Pixels, table: Floats, out: NDArray[np.generic]) -> None:
    for channel in range(3):
        out[channel] = table[channel][pixels[..., channel]]


def _spread(chroma: Pixels, planes: Planes) -> NDArray[np.int32]:
    wide = np.repeat(chroma.astype(np.int32) - 128, 2, axis=1)
    return wide if planes.layout == "yuyv" else np.repeat(wide, 2, axis=0)
