"""Say when the next frame is to be taken: as late as it can be without letting the slowest stage wait.

A frame that is prepared too early only grows old in front of a stage that is busy. So the first stage waits until every
later one will be free by the time the frame gets there: what it is busy with ends after the shortest of its last times,
and the way there takes the longest. A rate limit and a pause hold the first stage too.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Sequence

_REMEMBERED = 16
_WORTH_WAKING_S = 0.001


class _Times:
    """Remember how long a stage took of late."""

    __slots__ = ("least_s", "most_s", "of_late_s")

    def __init__(self) -> None:
        self.of_late_s: deque[float] = deque(maxlen=_REMEMBERED)
        self.least_s = self.most_s = 0.0

    def add(self, took_s: float) -> None:
        self.of_late_s.append(took_s)
        self.least_s, self.most_s = min(self.of_late_s), max(self.of_late_s)


class Pace:
    """Watch the stages of one run. ``just_in_time`` off leaves only the rate limit and the pause.

    Where there are several rungs, each has times of its own.
    """

    def __init__(
        self, stages: Sequence[str], *, just_in_time: bool, max_fps: float | None = None, rungs: int = 1
    ) -> None:
        self._just_in_time = just_in_time
        self._period_s = 0.0 if max_fps is None else 1 / max_fps
        self._slot_s = 0.0
        self._rungs = [[_Times() for _ in stages] for _ in range(rungs)]
        self._times = self._rungs[0]
        self._began_s: list[float | None] = [None] * len(stages)
        self._inside = [0] * len(stages)
        self._paused = self._stopped = False
        self._wakes_s = 0.0
        self._changed = threading.Condition()

    @property
    def paused(self) -> bool:
        """Whether frames are held back."""
        return self._paused

    def wait(self) -> None:
        """Wait until the next frame should be taken."""
        with self._changed:
            while not self._stopped and (rest := self._rest_s()) > 0:
                self._wakes_s = time.monotonic() + rest
                self._changed.wait(None if self._paused else rest)
            self._wakes_s = 0.0

    def use(self, rung: int) -> None:
        """Go by the times of this rung from now on."""
        with self._changed:
            self._times = self._rungs[rung]

    def admitted(self, count: int = 1) -> None:
        """Say that a group of so many frames was taken in."""
        with self._changed:
            for stage in range(len(self._inside)):
                self._inside[stage] += 1
            if self._period_s:
                now, period_s = time.monotonic(), count * self._period_s
                # The slots keep their rhythm; who is late by more than one begins a new one.
                self._slot_s = (now if now > self._slot_s + self._period_s else self._slot_s) + period_s

    def began(self, stage: int) -> None:
        """Say that a stage has begun with a frame."""
        self._began_s[stage] = time.monotonic()

    def ended(self, stage: int, rung: int = 0) -> float:
        """Say that it is done, and return the milliseconds that it took."""
        with self._changed:
            now_s = time.monotonic()
            took_s = now_s - (self._began_s[stage] or now_s)
            self._rungs[rung][stage].add(took_s)
            self._began_s[stage] = None
            self._inside[stage] -= 1
            # Waking a thread costs more than all else here, so it is done only for who would wake too late.
            if self._wakes_s and now_s + self._rest_s() < self._wakes_s - _WORTH_WAKING_S:
                self._changed.notify()
        return took_s * 1e3

    def longest(self) -> tuple[int, float]:
        """Return the stage that has been at the same frame for the longest time, and that time in seconds."""
        now_s = time.monotonic()
        spans_s = [0.0 if began_s is None else now_s - began_s for began_s in tuple(self._began_s)]
        return spans_s.index(max(spans_s)), max(spans_s)

    def expected_ms(self) -> float:
        """Return what all stages together take of late; 0 before the first frame is through."""
        with self._changed:
            if not self._known():
                return 0.0
            return 1e3 * sum(statistics.median(times.of_late_s) for times in self._times)

    def pause(self, paused: bool = True) -> None:
        """Hold the next frame back, or no longer."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def stop(self) -> None:
        """Let the first stage go, so that it sees that all is over."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _rest_s(self) -> float:
        if self._paused:
            return 1.0
        now = time.monotonic()
        rest = self._slot_s - now if self._period_s else 0.0
        if self._just_in_time and self._known():
            way_s = 0.0
            for times, inside, begun_s in zip(self._times, self._inside, self._began_s, strict=True):
                if inside:
                    free_s = (now if begun_s is None else begun_s) + times.least_s * inside
                    rest = max(rest, free_s - way_s - now)
                way_s += times.most_s
        return rest

    def _known(self) -> bool:
        """Tell whether every stage has been through once; the last one is so last."""
        return bool(self._times[-1].of_late_s)
