"""Hold one picture on its way through the runtime: pixels, their format, when they were taken and where."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.kernels import to_rgb

PixelFormat = Literal["bgr", "rgb", "gray", "nv12", "i420", "yuyv"]
Pixels = npt.NDArray[np.uint8]

PIXEL_FORMATS: tuple[str, ...] = get_args(PixelFormat)
_PLANAR = ("nv12", "i420")


@dataclass(frozen=True, eq=False)
class Frame:
    """Carry one picture. ``data`` is (H, W, 3), (H, W) for gray, (H * 3 / 2, W) for nv12 and i420, (H, W, 2) for yuyv.

    ``captured_ns`` of a live source is on the clock of ``time.monotonic_ns``: an age is a difference on it. Other
    sources count from 0 with their first frame. ``index`` counts from 0.
    """

    data: Pixels
    pixel_format: PixelFormat
    captured_ns: int
    index: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if self.pixel_format not in PIXEL_FORMATS:
            raise InputError(f"pixel_format must be one of {', '.join(PIXEL_FORMATS)}, not {self.pixel_format!r}.")
        check_pixels(self.data, self.pixel_format)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Return height and width of the picture (not of the buffer)."""
        height, width = self.data.shape[:2]
        return (height * 2 // 3 if self.pixel_format in _PLANAR else height, width)

    def to_rgb(self) -> Pixels:
        """Return the picture as (H, W, 3) in RGB order."""
        return to_rgb(self.data, self.pixel_format)


def check_pixels(data: Any, pixel_format: str) -> None:
    """Raise unless the array can be a picture in that format."""
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        kind = f"an array of {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise InputError(f"A picture must be a numpy array of uint8 (0..255), not {kind}.")
    channels = {"bgr": 3, "rgb": 3, "yuyv": 2}.get(pixel_format)
    if data.ndim != (2 if channels is None else 3) or (channels is not None and data.shape[2] != channels):
        expected = "(height, width)" if channels is None else f"(height, width, {channels})"
        hint = _other_channels(data.shape, pixel_format)
        raise InputError(f"A {pixel_format} picture must have the shape {expected}, not {data.shape}.{hint}")
    if 0 in data.shape:
        raise InputError(f"The picture is empty: its shape is {data.shape}.")
    if pixel_format in _PLANAR and (data.shape[0] % 3 or data.shape[1] % 2):
        raise InputError(
            f"A {pixel_format} buffer has 3/2 times its picture's rows and an even width, so {data.shape} is not one."
        )


def _other_channels(shape: tuple[int, ...], pixel_format: str) -> str:
    """Say what to type for what people have in their hands: grey pictures, and ones with a fourth channel."""
    if pixel_format not in ("rgb", "bgr"):
        return ""
    if len(shape) == 3 and shape[2] == 4:
        return " A fourth channel is opacity, which is left out: picture[..., :3].copy()"
    return " It is a grey one: its colour is 'gray'." if len(shape) == 2 else ""


def frame_of(picture: Any, color: str | None, *, index: int = 0) -> Frame:
    """Make a Frame of what a caller handed over. A bare array must come with its colour order: it is never guessed."""
    if isinstance(picture, Frame) and color is not None:
        raise InputError(
            f"The frame says it is {picture.pixel_format}, and color={color!r} was given too. Leave color away; a "
            "frame that says something wrong must be made anew: edgevit.Frame(data, 'bgr', captured_ns)."
        )
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, np.ndarray) and color is None:
        raise InputError(
            "A bare array does not say whether it is RGB or BGR. Type: session(array, color='rgb'), or 'bgr' if it is "
            "from OpenCV; or pass an edgevit.Frame."
        )
    if not isinstance(picture, np.ndarray):
        named = isinstance(picture, (str, os.PathLike))
        typed = f" Type: session.stream({os.fspath(picture)!r})" if named else ""
        raise InputError(f"Expected an edgevit.Frame or a numpy array, not {type(picture).__name__}.{typed}")
    return Frame(picture, color, time.monotonic_ns(), index)  # type: ignore[arg-type]  # Frame checks it
