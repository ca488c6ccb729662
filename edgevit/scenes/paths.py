"""Move things smoothly through a clip: curves through random points, by sums and products alone.

Sines differ in their last bit from machine to machine, and a clip must not; so a path is a Catmull-Rom spline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Point = tuple[float, ...]


@dataclass(frozen=True)
class Path:
    """Lead through ``points``, one every ``pace`` frames; before the first and after the last it stands still."""

    points: tuple[Point, ...]
    pace: float

    def at(self, frame: float) -> Point:
        """Return the place at a frame, which may lie between two."""
        last = len(self.points) - 1
        where = min(max(frame / self.pace, 0.0), float(last))
        first = min(int(where), last - 1) if last else 0
        share = where - first
        around = [self.points[min(max(first + step, 0), last)] for step in (-1, 0, 1, 2)]
        return tuple(_curve(values, share) for values in zip(*around, strict=True))


def wander(frames: int, pace: float, draw: Callable[[], Point]) -> Path:
    """Return a path through as many drawn points as a clip of so many frames needs."""
    count = int(frames / pace) + 2
    return Path(tuple(draw() for _ in range(count)), pace)


def _curve(around: Sequence[float], share: float) -> float:
    before, start, end, after = around
    rise = end - before
    bend = 2 * before - 5 * start + 4 * end - after
    twist = 3 * (start - end) + after - before
    return start + 0.5 * share * (rise + share * (bend + share * twist))
