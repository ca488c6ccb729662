"""Read the one source of a run that waits to be read: whoever is to answer for a frame reads it, when it is wanted.

So a file needs no thread of its own that is woken for every frame, and decodes none that grows old before the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .deadline import Deadline
from .handover import Finished
from .intake import Intake, is_live, job_of
from .ledger import Ledger
from .pacing import Pace
from .sources import let_go
from .stages import Job


def intake_of(
    sources: Sequence[Any],
    ledger: Ledger,
    pace: Pace,
    deadline: Deadline | None,
    *,
    failed: Callable[[BaseException], None],
    hurry: bool,
    most: int,
    color: str | None,
) -> Intake | Reading:
    """Let the workers read the only source of a run, if it waits; all else is read on threads.

    So are several, since one may be slower to read, and what does not say that any thread may read it: a generator of
    somebody's own may hold what knows its thread.
    """
    if len(sources) == 1 and not is_live(sources[0]) and getattr(sources[0], "any_thread", False):
        return Reading(sources[0], ledger, pace, deadline, failed=failed, color=color)
    return Intake(sources, ledger, pace, deadline, failed=failed, hurry=hurry, most=most, color=color)


class Reading:
    """Be the intake of such a run. One worker at a time calls ``next``; ``failed`` hears what the source raises."""

    def __init__(
        self,
        source: Any,
        ledger: Ledger,
        pace: Pace,
        deadline: Deadline | None,
        *,
        failed: Callable[[BaseException], None],
        color: str | None = None,
    ) -> None:
        self.sources = (source,)
        self._ledger, self._pace, self._deadline, self._failed = ledger, pace, deadline, failed
        self._color = color
        self._pictures: Iterator[Any] | None = None
        self._index = 0
        self._ended = False

    def next(self) -> list[Job]:
        """Read the next frame that is worth its answer; ``Finished`` when there is none."""
        while True:
            self._pace.wait()
            jobs = [self._job()]
            if self._deadline is not None:
                jobs = self._deadline.worth(jobs, self._pace, self._ledger)
            if jobs:
                self._pace.admitted()
                return jobs

    def led(self) -> None:
        """Have nothing to do: readers wait for their turn in the line."""

    def end(self, lane: int) -> None:
        """Read no more."""
        self.stop()

    @property
    def all_ended(self) -> bool:
        """Whether it is read no more because somebody said so."""
        return self._ended

    def stop(self) -> None:
        """Read no more."""
        self._ended = True
        self.close()

    def close(self) -> None:
        """Close the source and the walk through it, if they can be."""
        let_go(self._pictures)
        let_go(self.sources[0])

    def _job(self) -> Job:
        if self._ended:
            raise Finished
        try:
            if self._pictures is None:
                self._pictures = iter(self.sources[0])
            job = job_of(next(self._pictures), self._index, color=self._color)
        except StopIteration:
            raise Finished from None
        except Exception as exc:
            if not self._ended:  # what a source says that was closed under its reader is no fault
                self._failed(exc)
            raise Finished from None
        finally:
            if self._ended:
                self.close()  # a generator could not be closed while it was at work
        if self._ended:
            raise Finished
        self._index += 1
        self._ledger.captured(0, job.came_ms)
        return job
