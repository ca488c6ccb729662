"""Turn a decoded frame into a net's input tensor, exactly as the weights saw pictures in training.

Resize, crop, colour order, ``(level / 255 - mean) / std`` and layout in one call, by ``edgevit.spec.ImageSpec``:
geometry as in timm's evaluation transform (``geometry.py``), levels as in Pillow's resize (``weights.py``), floats as
in torchvision's ToTensor and Normalize, to the bit. Where Pillow 13 goes vertically first (pictures that lose more
than twice as many rows as columns) we keep to the order of all earlier ones; a level may then differ.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from edgevit.errors import InputError
from edgevit.spec import ImageSpec, Interpolation

from .choice import active
from .forms import Floats, Pixels, Tensor
from .frames import Frame, checked
from .geometry import spans
from .weights import Axis, build

PREPROCESS = ("image/1",)
"""The versions of this arithmetic, as bundles name them; docs/operations.md defines them."""

_LARGEST_RESIZE = 1 << 16


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold all that depends on the sizes alone: which part of the frame is read, its sums, and where they land."""

    rows: slice
    columns: slice
    x: Axis
    y: Axis
    place: tuple[slice, slice]
    borders: bool


def prepare(pixels: Any, image: ImageSpec, *, color: str) -> Tensor:
    """Return the input tensor of a uint8 frame: (1, 3, h, w), or (1, h, w, 3) if the spec's layout is ``nhwc``.

    It is float32, or uint8 where the spec's ``values`` are ``levels``. ``color`` is the order or camera layout of
    ``pixels`` (``frames.py`` lists them); it is never guessed.
    """
    if image.values == "levels":
        return _laid_out(prepare_uint8(pixels, image, color=color), image)
    frame = checked(pixels, color)
    plan = _plan(frame.size_hw, image)
    table = _table(image.mean, image.std)
    tensor, planes = _tensor(image.size_hw, image)
    if plan.borders:
        for channel, level in enumerate(_mean_levels(image)):
            planes[channel] = table[channel, level]
    _resample(frame, plan, image, planes[:, plan.place[0], plan.place[1]], table)
    return tensor


def prepare_uint8(pixels: Any, image: ImageSpec, *, color: str) -> Pixels:
    """Return the same pixels before normalisation: (h, w, 3) uint8 in the model's colour order."""
    frame = checked(pixels, color)
    plan = _plan(frame.size_hw, image)
    out = np.empty((*image.size_hw, 3), np.uint8)
    if plan.borders:
        out[...] = _mean_levels(image)
    _resample(frame, plan, image, out[plan.place], None)
    return out


def normalise(pixels: Any, image: ImageSpec) -> Tensor:
    """Return the input tensor of (h, w, 3) uint8 pixels that are already of the model's size and colour order."""
    frame = checked(pixels, image.color)
    if image.values == "levels":
        return _laid_out(frame.data, image)
    tensor, planes = _tensor(frame.size_hw, image)
    active().normalise(np.ascontiguousarray(frame.data), _table(image.mean, image.std), planes)
    return tensor


def resize(
    pixels: Any, size_hw: tuple[int, int], interpolation: Interpolation = "bilinear", antialias: bool = True
) -> Pixels:
    """Return the whole picture, (H, W, 3) in any channel order or (H, W), at another size."""
    grey = isinstance(pixels, np.ndarray) and pixels.ndim == 2
    frame = checked(pixels, "gray" if grey else "rgb")
    if interpolation not in get_args(Interpolation):
        known = ", ".join(get_args(Interpolation))
        raise InputError(f"The interpolation '{interpolation}' is not known. Expected one of: {known}.")
    if len(size_hw) != 2 or not all(isinstance(n, int) and 1 <= n <= _LARGEST_RESIZE for n in size_hw):
        raise InputError(f"size_hw must be two whole numbers (height, width) of 1 to {_LARGEST_RESIZE}, not {size_hw}.")
    height, width = frame.size_hw
    y = build(height, size_hw[0], 0, size_hw[0], interpolation, antialias)
    x = build(width, size_hw[1], 0, size_hw[1], interpolation, antialias)
    out = np.empty((*size_hw, 3), np.uint8)
    source = frame.window(slice(0, height), slice(0, width), to_bgr=False)
    active().resample(source, x, y, out, None)
    return np.ascontiguousarray(out[:, :, 0]) if grey else out


def _tensor(size_hw: tuple[int, int], image: ImageSpec) -> tuple[Floats, Floats]:
    """Allot the input tensor in the layout that the file wants, and give a view of it as (3, h, w) to fill."""
    if image.layout == "nhwc":
        last = np.empty((1, *size_hw, 3), np.float32)
        return last, last[0].transpose(2, 0, 1)
    first = np.empty((1, 3, *size_hw), np.float32)
    return first, first[0]


def _laid_out(levels: Pixels, image: ImageSpec) -> Pixels:
    """Turn (h, w, 3) levels into one row of the layout that the file wants."""
    axes = (0, 1, 2) if image.layout == "nhwc" else (2, 0, 1)
    return np.ascontiguousarray(levels.transpose(axes))[None]


def _resample(frame: Frame, plan: Plan, image: ImageSpec, out: Pixels | Floats, table: Floats | None) -> None:
    source = frame.window(plan.rows, plan.columns, to_bgr=image.color == "bgr")
    active().resample(source, plan.x, plan.y, out, table)


@functools.lru_cache(maxsize=32)
def _plan(size_hw: tuple[int, int], image: ImageSpec) -> Plan:
    vertical, horizontal = spans(size_hw, image)
    axes, windows = [], []
    for length, span in zip(size_hw, (vertical, horizontal), strict=True):
        axis = build(length, span.resized, span.first, span.count, image.interpolation, image.antialias)
        begin = int(axis.starts[0]) // 2 * 2
        windows.append(slice(begin, min(length, (axis.stop + 1) // 2 * 2)))
        axes.append(axis.shifted(begin))
    place = tuple(slice(span.offset, span.offset + span.count) for span in (vertical, horizontal))
    borders = (vertical.count, horizontal.count) != image.size_hw
    return Plan(windows[0], windows[1], axes[1], axes[0], (place[0], place[1]), borders)


@functools.lru_cache(maxsize=32)
def _table(mean: tuple[float, ...], std: tuple[float, ...]) -> Floats:
    """Work out each channel's 256 answers in the float32 steps of torchvision: divide, subtract, divide."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    means, stds = (np.asarray(values, np.float32)[:, None] for values in (mean, std))
    table: Floats = (levels - means) / stds
    table.setflags(write=False)
    return table


def _mean_levels(image: ImageSpec) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(255 * value))) for value in image.mean)
    return red, green, blue
