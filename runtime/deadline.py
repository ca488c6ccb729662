"""Let frames go whose answer would come too late, and log each time that this begins, ends, or cannot help.

The limit is for the age of the frame when its answer stands: what it is old already, and what the stages take of late.
Where there are faster models, the ladder says which one answers. Where the stages of the fastest alone take longer, no
frame would ever be answered: then all are, and that is what is logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .ladder import Ladder
from .ledger import Ledger
from .pacing import Pace
from .stages import Job

_QUIET_S = 1.0
"""Skipping has ended when no frame was late for so long; and one frame in such a time is answered, late or not."""


class Deadline:
    """Judge frames. One thread at a time asks."""

    def __init__(
        self,
        limit_ms: float,
        log: Callable[[str], object],
        ladder: Ladder | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_ms, self._log, self._ladder, self._clock = limit_ms, log, ladder, clock
        self._state = "kept"
        self._last_late_s = self._last_taken_s = clock()

    def worth(self, jobs: Sequence[Job], pace: Pace, ledger: Ledger) -> list[Job]:
        """Return the jobs that are worth their answer, each with the rung that gives it."""
        rung = 0
        if self._ladder is not None:
            rung = self._ladder.look()
            pace.use(rung)
        expected_ms = pace.expected_ms()
        now_ns = time.monotonic_ns()
        kept = []
        for job in jobs:
            job.rung = rung
            age_ms = (now_ns - job.born_ns) / 1e6
            if self.allows(age_ms, expected_ms):
                kept.append(job)
                continue
            ledger.dropped(job.lane, late=True)
            if self._ladder is not None:
                self._ladder.answered(age_ms + expected_ms, job.came_ms, rung)
        return kept

    def allows(self, age_ms: float, expected_ms: float) -> bool:
        """Tell whether a frame of that age is worth its answer; before the stages are known, every one is."""
        now = self._clock()
        if not expected_ms:
            return self._taken(now)
        late = age_ms + expected_ms > self._limit_ms
        if expected_ms > self._limit_ms:
            if self._ladder is None or self._ladder.last:
                self._switch(
                    "hopeless",
                    f"the limit of {self._limit_ms:.0f} ms cannot be kept: the stages alone take {expected_ms:.0f} ms; "
                    "every frame that can be is answered",
                )
            return self._taken(now)
        if late:
            self._last_late_s = now
            self._switch(
                "skipping",
                f"late frames are skipped: one is {age_ms:.0f} ms old and takes {expected_ms:.0f} ms more, "
                f"the limit is {self._limit_ms:.0f} ms",
            )
            return now - self._last_taken_s > _QUIET_S and self._taken(now)
        if self._state != "kept" and now - self._last_late_s > _QUIET_S:
            self._switch("kept", f"the limit of {self._limit_ms:.0f} ms is kept again; no frame is skipped")
        return self._taken(now)

    def _taken(self, now: float) -> bool:
        self._last_taken_s = now
        return True

    def _switch(self, state: str, words: str) -> None:
        if self._state != state:
            self._state = state
            self._log(words)
