"""Count durations in classes that widen by two per cent: percentiles of any number of frames in a fixed memory."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH = math.log(1.02)
_LEAST_MS = 0.01
_AT_ONCE = 64
"""Durations that are counted together: between two frames all caches are cold, and counting one costs the most."""


@dataclass(frozen=True)
class Spread:
    """Summarise many durations; each percentile is off by one per cent at most."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float
    count: int

    def to_dict(self) -> dict[str, float | int]:
        """Return plain JSON data."""
        return {
            "p50_ms": round(self.p50_ms, 2),
            "p95_ms": round(self.p95_ms, 2),
            "p99_ms": round(self.p99_ms, 2),
            "worst_ms": round(self.worst_ms, 2),
            "count": self.count,
        }


class Ages:
    """Hold the classes. The owner sees to it that one thread at a time uses it."""

    def __init__(self, classes: Mapping[int, int] | None = None) -> None:
        self._classes: Counter[int] = Counter(classes or {})
        self._worst_ms = 0.0
        self._fresh: list[float] = []

    def add(self, duration_ms: float) -> None:
        """Take one to be counted; what is below a hundredth of a millisecond counts as that."""
        self._fresh.append(duration_ms)
        if len(self._fresh) >= _AT_ONCE:
            self._count()

    def since(self, before: Ages) -> Ages:
        """Return what came after a copy was made; its worst is that of its last class."""
        self._count()
        later = Ages(self._classes - before._classes)
        later._worst_ms = min(self._worst_ms, math.exp(max(later._classes, default=0) * _WIDTH))
        return later

    def copy(self) -> Ages:
        """Return a copy that stays as it is."""
        self._count()
        made = Ages(self._classes)
        made._worst_ms = self._worst_ms
        return made

    def at_most(self, bounds_ms: Sequence[float]) -> tuple[int, ...]:
        """Return how many there were up to each bound; within one per cent of it, a class is counted as a whole."""
        self._count()
        ordered = sorted(self._classes.items())
        centres = [math.exp(number * _WIDTH) for number, _ in ordered]
        sums = [0, *itertools.accumulate(count for _, count in ordered)]
        return tuple(sums[bisect.bisect_right(centres, bound_ms)] for bound_ms in bounds_ms)

    def sum_ms(self) -> float:
        """Return what all of them add up to, within one per cent."""
        self._count()
        return sum(math.exp(number * _WIDTH) * count for number, count in self._classes.items())

    def spread(self) -> Spread | None:
        """Return the percentiles; nothing has none."""
        self._count()
        total = sum(self._classes.values())
        if not total:
            return None
        p50, p95, p99 = (min(self._percentile(share, total), self._worst_ms) for share in (0.5, 0.95, 0.99))
        return Spread(p50, p95, p99, self._worst_ms, total)

    def _count(self) -> None:
        """Count what was taken."""
        for duration_ms in self._fresh:
            self._classes[round(math.log(max(duration_ms, _LEAST_MS)) / _WIDTH)] += 1
        self._worst_ms = max([self._worst_ms, *self._fresh])
        self._fresh.clear()

    def _percentile(self, share: float, total: int) -> float:
        """Return the least duration that this share of all does not exceed."""
        wanted, seen, last = math.ceil(share * total), 0, 0
        for last in sorted(self._classes):
            seen += self._classes[last]
            if seen >= wanted:
                break
        return math.exp(last * _WIDTH)
