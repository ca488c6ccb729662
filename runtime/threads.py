"""Hold a run's threads: readers of sources, workers of stages, writers of sinks. Find who is stuck, see all off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from edgevit.errors import EdgevitError

from .crew import Crew
from .handover import Finished
from .intake import Intake
from .ledger import Ledger
from .line import Line
from .outlets import Outlet
from .reading import Reading

_SOON_S = 2.0
"""How long the end waits for those who are known to be stuck."""
_HUNG = "The stage {} has been at one frame for {:g} s and is given up. Does its engine hang?"
_STUCK = "The output {} has been at one frame for {:g} s and is given up. Is its disk full, or its reader gone?"


class Threads:
    """Start them, and hear in which of them a fault is. ``drained`` is called when the last worker ends."""

    def __init__(
        self,
        intake: Intake | Reading,
        line: Line,
        outlets: Sequence[Outlet],
        ledger: Ledger,
        *,
        stall_s: float,
        fail: Callable[[BaseException], None],
        drained: Callable[[], None],
    ) -> None:
        self._intake, self._line, self._outlets, self._ledger = intake, line, outlets, ledger
        self._stall_s, self._drained = stall_s, drained
        self._lost: set[str] = set()
        self._readers, self._workers, self._writers = Crew(fail), Crew(fail, drained), Crew(fail)

    def begin(self) -> None:
        """Start them, so that whoever gets something is there before it comes."""
        for outlet in self._outlets:
            self._writers.begin(f"output {outlet.name}", partial(outlet.work, self._ledger))
        for worker in range(self._line.workers):
            self._workers.begin(
                _named(worker), partial(self._work, worker), may_stay=partial(self._line.reading, worker)
            )
        if isinstance(self._intake, Intake):
            for lane in range(len(self._intake.sources)):
                self._readers.begin(f"capture {lane}", partial(self._intake.read, lane), may_stay=lambda: True)

    def done(self) -> bool:
        """Tell whether all is answered and written. A source that says nothing more may still be waited for."""
        return not (self._workers.alive() or self._writers.alive())

    def look(self, timeout_s: float) -> None:
        """Wait a while, or until one of those who matter has ended."""
        (self._workers if self._workers.alive() else self._writers).look(timeout_s)

    def fault(self, *, engine: bool) -> EdgevitError | None:
        """Return who keeps all waiting: a sink, which is given up then, or, if that is asked for, an engine."""
        stage, at_it_s = self._line.stuck()
        if engine and at_it_s > self._stall_s:
            return EdgevitError(_HUNG.format(stage, self._stall_s))
        for outlet in self._given_up():
            return EdgevitError(_STUCK.format(outlet.name, self._stall_s))
        return None

    def see_off(self) -> list[str]:
        """Wait for the stages, then for the sinks, then for the sources; return who is stuck and was left behind."""
        hung = self._line.stuck()[1] > self._stall_s
        left = self._wait(self._workers, soon=hung)
        if left and self._given_up():  # they may have waited for nothing but these
            left = self._wait(self._workers, soon=True)
        self._drained()
        names = [self._line.place(worker) for worker in range(self._line.workers) if _named(worker) in left]
        names += self._wait(self._writers, soon=self._writers.names() <= self._lost)
        for outlet in self._outlets:
            if names:
                outlet.give_up()
            if not outlet.begun:  # its thread could not be started
                outlet.sink.close()
        self._wait(self._readers)
        return names

    def _work(self, worker: int) -> None:
        with suppress(Finished):
            self._line.work(worker)

    def _given_up(self) -> list[Outlet]:
        """Give the sinks up that have been at one frame for too long."""
        stuck = [outlet for outlet in self._outlets if outlet.stuck_s() > self._stall_s]
        for outlet in stuck:
            outlet.give_up()
            self._lost.add(f"output {outlet.name}")
        return stuck

    def _wait(self, crew: Crew, *, soon: bool = False) -> list[str]:
        return crew.see_off(self._progress, min(self._stall_s, _SOON_S) if soon else self._stall_s)

    def _progress(self) -> object:
        return self._line.steps(), self._ledger.progress()


def _named(worker: int) -> str:
    return f"worker {worker}"
