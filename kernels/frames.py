"""Check what a caller hands in, and read any camera layout as packed pixels; nothing unchecked goes further.

Colours: ``rgb bgr`` (H, W, 3), ``rgba bgra`` (H, W, 4; alpha is dropped), ``gray`` (H, W) or (H, W, 1), and the camera
layouts ``nv12 i420`` (H * 3/2, W) and ``yuyv`` (H, W, 2), as OpenCV lays them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from edgevit.errors import InputError

from .choice import active
from .forms import Pixels, Planes, Source, Yuv

PixelFormat = Literal["rgb", "bgr", "gray", "rgba", "bgra", "nv12", "i420", "yuyv"]

LONGEST_SIDE = 1 << 20
_CHANNELS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "gray": (0, 0, 0), "rgba": (0, 1, 2), "bgra": (2, 1, 0)}
_DEPTH = {"rgb": 3, "bgr": 3, "gray": 1, "rgba": 4, "bgra": 4}
_SHAPES = {
    "rgb": "(height, width, 3)",
    "bgr": "(height, width, 3)",
    "gray": "(height, width) or (height, width, 1)",
    "rgba": "(height, width, 4)",
    "bgra": "(height, width, 4)",
    "nv12": "(height * 3/2, width), both sides even",
    "i420": "(height * 3/2, width), both sides even",
    "yuyv": "(height, width, 2), width even",
}


@dataclass(frozen=True, eq=False)
class Frame:
    """Hold a checked frame: its array, its layout, and the size of the picture in it."""

    data: Pixels
    layout: PixelFormat
    size_hw: tuple[int, int]

    def window(self, rows: slice, columns: slice, to_bgr: bool) -> Source:
        """Read a part of the picture as packed pixels; edges of the part are even, for the sake of chroma."""
        if self.layout in get_args(Yuv):
            pixels, channels = _converted(self._planes(rows, columns)), _CHANNELS["rgb"]
        else:
            depth = _DEPTH[self.layout]
            data = self.data.reshape(*self.data.shape[:2], depth) if self.data.ndim == 2 else self.data
            pixels, channels = _packed(data[rows, columns], _CHANNELS[self.layout])
        return Source(pixels, channels[::-1] if to_bgr else channels)

    def _planes(self, rows: slice, columns: slice) -> Planes:
        data = self.data if self.data.strides[-1] == 1 else np.ascontiguousarray(self.data)
        height, width = self.size_hw
        half_rows, half = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
        if self.layout == "yuyv":
            pairs = np.ascontiguousarray(data[rows, columns])
            return Planes("yuyv", pairs[:, :, 0], pairs[:, 0::2, 1], pairs[:, 1::2, 1])
        if self.layout == "nv12":
            chroma = data[height:].reshape(height // 2, width // 2, 2)[half_rows, half]
            return Planes("nv12", data[rows, columns], chroma[:, :, 0], chroma[:, :, 1])
        quarter = np.ascontiguousarray(data[height:]).reshape(2, height // 2, width // 2)[:, half_rows, half]
        return Planes("i420", data[rows, columns], quarter[0], quarter[1])


def checked(data: Any, layout: str) -> Frame:
    """Return the frame, or say what is wrong with it."""
    if layout not in get_args(PixelFormat):
        known = ", ".join(get_args(PixelFormat))
        raise InputError(f"The colour order '{layout}' is not known. Expected one of: {known}.")
    if not isinstance(data, np.ndarray):
        raise InputError(f"A picture must be a numpy array, not {type(data).__name__}. Type: numpy.asarray(picture).")
    if data.dtype != np.uint8:
        raise InputError(
            f"A picture must be of uint8, 0 to 255, not {data.dtype}. "
            "For floats in 0..1 type: (picture * 255).round().astype('uint8')."
        )
    size_hw = _picture_size(data.shape, layout)
    if size_hw is None:
        raise InputError(f"A picture of shape {data.shape} cannot be '{layout}', which is {_SHAPES[layout]}.")
    if 0 in size_hw:
        raise InputError(f"A picture of shape {data.shape} has no pixels. Expected at least one row and one column.")
    if max(size_hw) > LONGEST_SIDE:
        raise InputError(f"A picture of shape {data.shape} is too long. Expected at most {LONGEST_SIDE} pixels a side.")
    return Frame(data, cast(PixelFormat, layout), size_hw)


def to_rgb(data: Any, pixel_format: str) -> Pixels:
    """Return the picture as (H, W, 3) RGB; RGB itself is handed back as it is, all else is new and contiguous."""
    frame = checked(data, pixel_format)
    if frame.layout == "rgb":
        return frame.data
    height, width = frame.size_hw
    if frame.layout in get_args(Yuv):
        return frame.window(slice(0, height), slice(0, width), to_bgr=False).pixels
    grid = frame.data.reshape(height, width, _DEPTH[frame.layout])
    out = np.empty((height, width, 3), np.uint8)
    for channel, origin in enumerate(_CHANNELS[frame.layout]):
        out[..., channel] = grid[..., origin]
    return out


def _picture_size(shape: tuple[int, ...], layout: str) -> tuple[int, int] | None:
    if layout in ("nv12", "i420"):
        fits = len(shape) == 2 and shape[0] % 3 == 0 and shape[1] % 2 == 0
        return (shape[0] // 3 * 2, shape[1]) if fits else None
    if layout == "yuyv":
        return (shape[0], shape[1]) if len(shape) == 3 and shape[2] == 2 and shape[1] % 2 == 0 else None
    if layout == "gray" and len(shape) == 2:
        return shape[0], shape[1]
    return (shape[0], shape[1]) if len(shape) == 3 and shape[2] == _DEPTH[layout] else None


def _packed(pixels: Pixels, channels: tuple[int, int, int]) -> tuple[Pixels, tuple[int, int, int]]:
    """Make every pixel's bytes lie side by side; a view with its channels turned round needs no copy for that."""
    depth = pixels.shape[2]
    if pixels.strides[1] == depth and pixels.strides[2] == -1:
        first, second, third = (depth - 1 - channel for channel in channels)
        return pixels[:, :, ::-1], (first, second, third)
    if pixels.strides[1] == depth and pixels.strides[2] == 1:
        return pixels, channels
    return np.ascontiguousarray(pixels), channels


def _converted(planes: Planes) -> Pixels:
    out = np.empty((*planes.luma.shape, 3), np.uint8)
    active().rgb(planes, out)
    return out
