"""Build the weights of a resize along one axis; every form of the kernels, numpy or native, uses these same integers.

Principle: a resize is separable, so an axis is a list of short weighted sums. The weights are whole numbers of
2**-22 grey levels; sums of whole numbers do not depend on their order, hence all forms agree to the bit.

* antialias: the filter grows with the shrinking factor, as in Pillow's ``Image.resize`` (bilinear: triangle,
  bicubic: Keys with a = -0.5; taps that fall outside the picture are dropped and the rest sums to one again).
* plain: two or four neighbours whatever the factor, as ``torch.nn.functional.interpolate`` and cv2 do
  (half-pixel centres, edge pixels repeated, bicubic with a = -0.75). It skips pixels when it shrinks.
* nearest: Pillow's choice of pixel, with or without ``antialias``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit.spec import Interpolation

FRACTION_BITS = 22
_ONE = 1 << FRACTION_BITS
_RUNNING_SUM_LIMIT = 1 << 22

Reals = NDArray[np.float64]
Integers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Axis:
    """Hold the sums of one axis: output i is ``sum(weights[i, k] * source[starts[i] + k])``.

    ``starts`` never falls and every tap lies inside the source, so no form needs to look at the border.
    """

    starts: Integers
    weights: Integers

    @property
    def size(self) -> int:
        """Count the outputs."""
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        """Count the source positions that each output looks at."""
        return int(self.weights.shape[1])

    @property
    def stop(self) -> int:
        """Return the source position behind the last one that is read."""
        return int(self.starts[-1]) + self.taps

    def shifted(self, origin: int) -> Axis:
        """Return the same sums for a source that begins at ``origin``."""
        return Axis(self.starts - np.int32(origin), self.weights)


def build(source: int, target: int, first: int, count: int, interpolation: Interpolation, antialias: bool) -> Axis:
    """Build outputs ``first`` to ``first + count`` of a resize from ``source`` to ``target`` positions."""
    if source == target:
        return _single(np.arange(first, first + count, dtype=np.float64), source)
    if interpolation == "nearest":
        return _single(_nearest(source / target, first, count), source)
    places = np.arange(first, first + count, dtype=np.float64) + 0.5
    if antialias:
        return _antialiased(source, source / target, places, interpolation)
    return _plain(source, source / target, places, interpolation)


def _single(positions: Reals, source: int) -> Axis:
    starts = np.clip(positions.astype(np.int64), 0, source - 1).astype(np.int32)
    return Axis(starts, np.full((starts.size, 1), _ONE, np.int32))


def _nearest(scale: float, first: int, count: int) -> Reals:
    """Pillow walks along the axis by adding the step; its rounding is part of the answer, so we walk too."""
    if first + count > _RUNNING_SUM_LIMIT:
        return (np.arange(first, first + count, dtype=np.float64) + 0.5) * scale
    steps = np.full(first + count, scale)
    steps[0] = scale * 0.5
    walked: Reals = np.add.accumulate(steps)
    return walked[first:]


def _antialiased(source: int, scale: float, places: Reals, interpolation: Interpolation) -> Axis:
    reach, curve = _CURVES[interpolation]
    stretch = max(scale, 1.0)
    support = reach * stretch
    centres = places * scale
    begin = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + support + 0.5).astype(np.int64), source)
    positions = begin[:, None] + np.arange(int((end - begin).max()))
    values = curve((positions - centres[:, None] + 0.5) * (1.0 / stretch))
    values[positions >= end[:, None]] = 0.0
    # A running sum, not numpy's pairwise one: the last bit of the total reaches the rounded weights.
    total = np.add.accumulate(values, axis=1)[:, -1:]
    return _packed(source, begin, positions, values / np.where(total == 0.0, 1.0, total))


def _plain(source: int, scale: float, places: Reals, interpolation: Interpolation) -> Axis:
    centres = places * scale - 0.5
    left = np.floor(centres)
    reach = 1 if interpolation == "bilinear" else 2
    neighbours = left[:, None] + np.arange(1 - reach, 1 + reach)
    distance = neighbours - centres[:, None]
    values = _triangle(distance) if interpolation == "bilinear" else _keys(distance, -0.75)
    positions = np.clip(neighbours.astype(np.int64), 0, source - 1)
    return _packed(source, positions[:, 0], positions, values)


def _packed(source: int, begin: NDArray[np.int64], positions: NDArray[np.int64], values: Reals) -> Axis:
    """Give all outputs the same number of taps, moved to the left where they would leave the source."""
    taps = min(values.shape[1], source)
    starts = np.minimum(begin, source - taps)
    packed = np.zeros((starts.size, taps))
    outputs = np.broadcast_to(np.arange(starts.size)[:, None], positions.shape)
    inside = values != 0.0
    np.add.at(packed, (outputs[inside], (positions - starts[:, None])[inside]), values[inside])
    whole = np.trunc(packed * _ONE + np.copysign(0.5, packed)).astype(np.int32)
    return Axis(starts.astype(np.int32), whole)


def _triangle(distance: Reals) -> Reals:
    return np.maximum(1.0 - np.abs(distance), 0.0)


def _keys(distance: Reals, a: float) -> Reals:
    """Keys' cubic convolution, written in Horner form so that C++ can repeat it to the bit."""
    x = np.abs(distance)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _bicubic(distance: Reals) -> Reals:
    return _keys(distance, -0.5)


_CURVES: dict[str, tuple[float, Callable[[Reals], Reals]]] = {"bilinear": (1.0, _triangle), "bicubic": (2.0, _bicubic)}
