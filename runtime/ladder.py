"""Choose among models by how old their answers are: down at once where they are too old, up again where there is air.

Up is the way that can fail, so it is tried where the answers say that it will hold: the model above is as much slower
as it was when it was left. If that never comes true it is tried all the same after a while, and each attempt that fails
doubles the wait for the next one.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ENOUGH = 4
"""Answers that are looked at; one late one is nothing."""
_AIR = 0.7
"""Share of the limit below which an answer leaves room."""
_HOLDS = 0.85
"""Share of the limit that the model above may be expected to take."""
_STEADY_S = 2.0
_TRY_S = 10.0
_LONGEST_S = 320.0
_FAILED_S = 10.0
"""A model that is left again so soon has failed."""


@dataclass(frozen=True)
class Switch:
    """Tell of one change of models."""

    at_s: float
    old: str
    new: str
    why: str


class Ladder:
    """Hold the rung of one run, 0 the best. ``on_switch`` hears of each switch and the new rung."""

    def __init__(
        self,
        names: Sequence[str],
        limit_ms: float,
        on_switch: Callable[[Switch, int], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rung = 0
        self._names, self._limit_ms, self._on_switch, self._clock = tuple(names), limit_ms, on_switch, clock
        self._began_s = self._since_s = self._bad_s = clock()
        self._climbed = False
        self._lock = threading.Lock()
        self._heard: deque[tuple[int, float, float]] = deque(maxlen=_ENOUGH)
        self._left_ms = [0.0] * len(self._names)
        self._slower: list[float | None] = [None] * len(self._names)
        self._failures = [0] * len(self._names)

    @property
    def last(self) -> bool:
        """Whether there is no faster one."""
        return self.rung + 1 == len(self._names)

    def answered(self, age_ms: float, came_ms: float, rung: int) -> None:
        """Hear how old an answer was, and how old its frame had been when it came; or would have been, if skipped."""
        with self._lock:
            self._heard.append((rung, age_ms, came_ms))

    def look(self) -> int:
        """Return the rung for the next frame."""
        with self._lock:
            heard = [(age, came) for rung, age, came in self._heard if rung == self.rung]
        if len(heard) < _ENOUGH:
            return self.rung
        now = self._clock()
        age_ms, came_ms = (statistics.median(values) for values in zip(*heard, strict=True))
        if age_ms > _AIR * self._limit_ms:
            self._bad_s = now
        # What is too old when it comes is nobody's fault here, and no other model would help.
        if age_ms > self._limit_ms and came_ms < self._limit_ms / 2 and not self.last:
            self._down(age_ms, now)
        elif self.rung and self._calm_s(now) > self._patience_s(age_ms):
            self._go(self.rung - 1, f"answers are {age_ms:.0f} ms old, the limit is {self._limit_ms:.0f} ms", now)
        return self.rung

    def _calm_s(self, now: float) -> float:
        """Return for how long there has been air on this rung."""
        return now - max(self._bad_s, self._since_s)

    def _patience_s(self, age_ms: float) -> float:
        """Return how long there must be air before the rung above is tried."""
        above = self.rung - 1
        if self._slower[above] is None:  # the first answers here say how much faster this rung is
            self._slower[above] = max(1.0, self._left_ms[above] / max(age_ms, 1e-3))
        fits = age_ms * (self._slower[above] or 1.0) < _HOLDS * self._limit_ms
        return min((_STEADY_S if fits else _TRY_S) * 2.0 ** self._failures[above], _LONGEST_S)

    def _down(self, age_ms: float, now: float) -> None:
        failed = self._climbed and now - self._since_s < _FAILED_S
        self._failures[self.rung] = self._failures[self.rung] + 1 if failed else 0
        self._left_ms[self.rung], self._slower[self.rung] = age_ms, None
        self._go(self.rung + 1, f"answers were {age_ms:.0f} ms old, the limit is {self._limit_ms:.0f} ms", now)

    def _go(self, rung: int, why: str, now: float) -> None:
        switch = Switch(now - self._began_s, self._names[self.rung], self._names[rung], why)
        self._climbed = rung < self.rung
        self.rung, self._since_s = rung, now
        self._on_switch(switch, rung)
