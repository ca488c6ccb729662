"""Read sources, a thread each, and say which frame is next: the newest of a live source, if it is worth its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .deadline import Deadline
from .frame import frame_of
from .handover import Handover
from .ledger import Ledger
from .pacing import Pace
from .stages import Job


class Intake:
    """Hold the sources of one run. ``hurry`` lets a live source's frame give way to the next one."""

    def __init__(self, sources: Sequence[Any], *, hurry: bool, depth: int, color: str | None) -> None:
        self.sources = tuple(sources)
        self._hurry, self._color = hurry, color
        self._frames: Handover[Job] = Handover(depth, len(self.sources))

    def read(self, lane: int, ledger: Ledger) -> None:
        """Read one source to its end; a thread of its own does that."""
        source = self.sources[lane]
        live = is_live(source)
        try:
            for index, picture in enumerate(source):
                frame = frame_of(picture, self._color, index=index)
                now_ns = time.monotonic_ns()
                job = Job(frame, min(frame.captured_ns, now_ns) if live else now_ns, lane)
                ledger.captured(lane, (now_ns - job.born_ns) / 1e6)
                if not (live and self._hurry):
                    self._frames.give(job, lane)
                elif self._frames.give_newest(job, lane) is not None:
                    ledger.dropped(lane)
        finally:
            self._frames.finish(lane)

    def next(self, ledger: Ledger, pace: Pace, deadline: Deadline | None) -> Job:
        """Take the next frame that is worth its answer, source after source in turn."""
        self._frames.wait()  # first, since by then the stages are mostly free, and one waking is saved
        pace.wait()
        while True:
            job = self._frames.take()
            age_ms = (time.monotonic_ns() - job.born_ns) / 1e6
            if deadline is None or deadline.allows(age_ms, pace.expected_ms()):
                pace.admitted()
                return job
            ledger.dropped(job.lane, late=True)

    def stop(self) -> None:
        """Take in nothing more."""
        self._frames.stop()
        self.close()

    def close(self) -> None:
        """Close the sources, those that can be."""
        for source in self.sources:
            if close := getattr(source, "close", None):
                close()


def is_live(source: object) -> bool:
    """Tell whether frames come by themselves; what does not say so waits."""
    return bool(getattr(source, "live", False))
