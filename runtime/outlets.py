"""Carry answers to one sink each, on a thread of its own: a slow, stuck or broken one is its own trouble alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .frame import Frame
from .handover import Finished, Handover, Stopped
from .ledger import Ledger
from .outcome import OutputLeft
from .results import Result, no_result
from .sinks import Sink, who_left
from .stages import Job


@runtime_checkable
class LaneSink(Protocol):
    """Be a sink that asks which source a frame is of, and how old it is, on the clock of ``time.monotonic_ns``."""

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Take one, in place of ``write``."""


@runtime_checkable
class OneLane(Protocol):
    """Be a sink of one source alone."""

    @property
    def only_lane(self) -> int:
        """The number of the source."""


class Outlet:
    """Hold what a sink has not taken yet. ``newest`` lets a slow one miss answers; else everybody waits for it."""

    def __init__(self, sink: Sink, name: str, *, newest: bool, depth: int) -> None:
        self.sink, self.name = sink, name
        self._lane_sink = sink if isinstance(sink, LaneSink) else None
        self._only = sink.only_lane if isinstance(sink, OneLane) else None
        self._jobs: Handover[Job] = Handover(depth)
        self._newest = newest
        self.begun = False
        self._busy_since_s: float | None = None

    def give(self, job: Job) -> bool:
        """Hand an answer on; False if the sink missed one for it. What was given up takes nothing more."""
        if self._only not in (None, job.lane):
            return True
        try:
            if self._newest:
                return self._jobs.give_newest(job) is None
            self._jobs.give(job)
        except Stopped:
            pass
        return True

    def finish(self) -> None:
        """Let it write what it has, and close."""
        self._jobs.finish()

    def give_up(self) -> None:
        """Forget what it has not written."""
        self._jobs.stop()

    def stuck_s(self) -> float:
        """Return for how long it has been at the same frame."""
        since = self._busy_since_s
        return 0.0 if since is None else time.monotonic() - since

    def work(self, ledger: Ledger) -> None:
        """Write until there is no more, and close, whatever happens."""
        self.begun = True
        try:
            self._write_all(ledger)
        except BrokenPipeError as exc:
            raise OutputLeft(who_left(exc)) from exc
        finally:
            self.give_up()
            self._busy_since_s = time.monotonic()
            self.sink.close()
            self._busy_since_s = None

    def _write(self, job: Job) -> None:
        try:
            if self._lane_sink is not None:
                self._lane_sink.write_from(job.frame, job.value, lane=job.lane, born_ns=job.born_ns)
            else:
                self.sink.write(job.frame, job.value)
        except AttributeError as exc:  # asked only now, since frames pay for a question
            if isinstance(self.sink, Call) or isinstance(job.value, Result):
                raise
            raise no_result(job.value, f"the output {self.name}") from exc

    def _write_all(self, ledger: Ledger) -> None:
        while True:
            try:
                job = self._jobs.take()
            except (Finished, Stopped):
                return
            self._busy_since_s = began_s = time.monotonic()
            self._write(job)
            self._busy_since_s = None
            now_s = time.monotonic()
            ledger.passed(self.name, (time.monotonic_ns() - job.born_ns) / 1e6, (now_s - began_s) * 1e3)


class Call:
    """Be a sink that hands each result to a function. A ledger calls it by what its caller knows it as."""

    def __init__(self, function: Callable[[Result], object], place: str = "on_result") -> None:
        self.place = place
        self._function = function

    def write(self, frame: object, result: Result) -> None:
        self._function(result)

    def close(self) -> None:
        pass
