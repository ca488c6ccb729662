"""Say what a form of the kernels is: numpy and native do the same three things on the same arguments.

Arguments arrive checked (by ``image.py``); a form computes and never validates sizes, colours or types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .weights import Axis

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Tensor = NDArray[Any]
"""An input tensor: float32, or uint8 where the file wants levels."""
Yuv = Literal["nv12", "i420", "yuyv"]


@dataclass(frozen=True, eq=False)
class Source:
    """Hold packed pixels (H, W, 1|3|4); ``channels[k]`` is the one that feeds output channel k."""

    pixels: Pixels
    channels: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Planes:
    """Hold a YUV frame as three views: ``luma`` (h, w), ``u`` and ``v`` (h / 2, w / 2), or (h, w / 2) for yuyv."""

    layout: Yuv
    luma: Pixels
    u: Pixels
    v: Pixels


class Form(Protocol):
    """Compute; ``name`` is what ``EDGEVIT_KERNELS`` and ``doctor`` call it."""

    name: str

    def resample(self, source: Source, x: Axis, y: Axis, out: Pixels | Floats, table: Floats | None) -> None:
        """Fill ``out``: (h, w, 3) uint8 without a table, (3, h, w) float32 through a (3, 256) table.

        Floats may be a view of any strides: that is how a net gets its channels last.
        """

    def normalise(self, pixels: Pixels, table: Floats, out: Floats) -> None:
        """Fill ``out`` (3, h, w) from pixels (h, w, 3) through the table."""

    def rgb(self, planes: Planes, out: Pixels) -> None:
        """Fill ``out`` (h, w, 3) from a YUV frame."""
