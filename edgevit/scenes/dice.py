"""Draw random numbers that are the same in every numpy release and on every machine.

numpy promises that the bit stream of ``PCG64`` never changes; it does not promise that of ``Generator``'s
distributions. So every number here is made from the raw bits, by exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError

# Always float32. The wider type is for the checker: in numpy's stubs a product with a Python number is no float32.
Plane = npt.NDArray[np.floating[Any]]
I16 = npt.NDArray[np.int16]
_Item = TypeVar("_Item")

LIMIT = 2**32
GRAIN_SIGMA = 147.80  # standard deviation of the sum of four independent bytes


class Dice:
    """Roll numbers for one picture; ``seed`` and ``index`` name it, and no two pairs share a stream."""

    def __init__(self, seed: int, index: int) -> None:
        for name, value in (("seed", seed), ("index", index)):
            # Above 32 bits numpy would spread a number over two words, and two pairs could name one stream.
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < LIMIT:
                raise InputError(f"{name} must be a whole number from 0 to {LIMIT - 1}, not {value!r}.")
        self._bits = np.random.PCG64(np.random.SeedSequence([int(seed), int(index)]))

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit() < probability

    def pick(self, items: Sequence[_Item]) -> _Item:
        """Return one of the items."""
        return items[int(self.unit() * len(items))]

    def direction(self) -> tuple[float, float]:
        """Return a unit vector of any direction: a point of the disc, normalised, since cosines differ by machine."""
        while True:
            x, y = self.between(-1, 1), self.between(-1, 1)
            square = x * x + y * y
            if 0.01 < square <= 1:
                length = float(np.sqrt(square))
                return x / length, y / length

    def lattice(self, rows: int, columns: int) -> Plane:
        """Return a grid of numbers in [0, 1), sixteen bits each."""
        words = self._raw_bytes(rows * columns * 2).view("<u2")
        grid: Plane = words.astype(np.float32) * np.float32(2.0**-16)
        return grid.reshape(rows, columns)

    def grain(self, shape: tuple[int, ...]) -> I16:
        """Return whole numbers that are nearly normal, of mean 0 and deviation ``GRAIN_SIGMA``: sums of four bytes."""
        count = int(np.prod(shape))
        four = self._raw_bytes(count * 4).reshape(4, count)
        total: I16 = four[0].astype(np.int16)
        for row in four[1:]:
            total += row
        total -= 510
        return total.reshape(shape)

    def _raw_bytes(self, count: int) -> npt.NDArray[np.uint8]:
        raw = np.asarray(self._bits.random_raw((count + 7) // 8), dtype="<u8")
        return raw.view(np.uint8)[:count]
