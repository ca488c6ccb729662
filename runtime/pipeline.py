"""Carry frames from capture to sinks on threads, bounded everywhere; of a live source the newest frame wins.

Every source has a thread, but for a single one that waits, which the model's threads read; the model has as many as it
has stages, every sink has one; what can wait is bounded.
``newest``: a live source's frame that nobody has taken gives way to the next one, stages begin just in time, and slow
sinks miss answers. ``every``: nothing is lost, everybody waits for the slowest. Sources that are not live wait by
themselves, so they lose nothing under either. A fault of any thread ends the run and is told to the caller; what was
answered is in the other sinks, which are closed in order, and after a source's fault so are the frames before it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from edgevit.errors import EdgevitError, UsageError

from .deadline import Deadline
from .frame import Frame, Pixels
from .handover import Finished, Handover
from .intake import is_live, refuse_frames, refuse_names
from .ladder import Ladder, Switch
from .ledger import Ledger, counted
from .ledger_report import LedgerReport
from .line import Line
from .outcome import Outcome
from .outlets import Call, Outlet
from .pacing import Pace
from .plan import Plan, plan_of
from .reading import intake_of
from .results import Result
from .sinks import Sink
from .stages import Job, Model, alone, most_of, rungs_of
from .threads import Threads

Feed = Iterable[Frame | Pixels]

_WAITING = 2
"""Answers for a reader that may wait where every one counts."""
_WAITING_SINK = 8
"""Answers that may wait for a sink before it misses the oldest of them."""
_LOOK_S = 0.25


class Pipeline:
    """Run one model over one source or several. It owns the sources and sinks from now on, and closes them at the end.

    ``on_result`` is called with each answer on a thread of its own, ``on_event`` with what is logged on the thread that
    logs it. ``color`` is for sources of bare arrays. ``fallbacks`` are faster models of the same kind, the fastest
    last: with ``plan.max_latency_ms`` one of them answers while the answers of those before it are too old.
    """

    def __init__(
        self,
        model: Model,
        sources: Feed | Sequence[Feed],
        sinks: Iterable[Sink] = (),
        *,
        plan: Plan | None = None,
        on_result: Callable[[Result], object] | None = None,
        on_event: Callable[[str], object] | None = None,
        color: str | None = None,
        fallbacks: Sequence[Model] = (),
    ) -> None:
        self._plan = plan_of(plan)
        feeds: tuple[Any, ...] = tuple(sources) if isinstance(sources, (list, tuple)) else (sources,)
        refuse_names(feeds, "open_source")
        refuse_frames(feeds)
        live = any(map(is_live, feeds))
        self.policy = self._plan.policy_for(live=live)
        self._hurry = live and self.policy == "newest"
        self._on_event = on_event
        self.events: deque[str] = deque(maxlen=200)
        latency_ms = self._plan.max_latency_ms
        if fallbacks and latency_ms is None:
            raise UsageError("Fallbacks answer where a limit is not kept, and there is none: Plan(max_latency_ms=80).")
        rungs = rungs_of(model, fallbacks, hurried=latency_ms is not None)
        names = [stage.name for stage in rungs[0].stages]
        all_sinks = [*sinks, *([Call(on_result)] if on_result else [])]
        refuse_names(all_sinks, "open_sink")
        self._outlets = [
            Outlet(sink, name, newest=self._hurry, depth=_WAITING_SINK if self._hurry else _WAITING)
            for sink, name in zip(all_sinks, alone([sink.place for sink in all_sinks]), strict=True)
        ]
        self._results: Handover[Job] | None = None
        self.ledger = Ledger(counted(feeds), names, [o.name for o in self._outlets], [rung.name for rung in rungs])
        self._pace = Pace(names, just_in_time=self._hurry, max_fps=self._plan.max_fps, rungs=len(rungs))
        self._ladder, deadline = None, None
        if latency_ms is not None:
            if len(rungs) > 1:
                self._ladder = Ladder([rung.name for rung in rungs], latency_ms, self._switched)
            deadline = Deadline(latency_ms, self._log, self._ladder)
        most = min(most_of(rung.stages, self._plan.batch, len(feeds)) for rung in rungs)
        self._intake = intake_of(
            feeds, self.ledger, self._pace, deadline, failed=self._cut, hurry=self._hurry, most=most, color=color
        )
        self._line = Line(rungs, self._intake, self._pace, self._deliver)
        self._outcome = Outcome()
        self._threads = Threads(
            self._intake,
            self._line,
            self._outlets,
            self.ledger,
            stall_s=self._plan.stall_s,
            fail=self._fail,
            drained=self._drained,
        )
        self._answers = 0

    # ---- what callers do

    def run(self, tick: Callable[[float], object] | None = None, *, seconds: float | None = None) -> LedgerReport:
        """Run to the end, or for some seconds, and return the ledger; ``tick`` is called some times a second.

        Ctrl-C ends it in order, and the report says so. A fault is raised when everything is closed.
        """
        began_s = time.monotonic()
        with self:
            try:
                while not self._over():
                    elapsed_s = time.monotonic() - began_s
                    if tick is not None:
                        tick(elapsed_s)
                    if seconds is not None and elapsed_s >= seconds:
                        self.stop(f"the {seconds:g} s are over")
                        break
                    self._threads.look(_LOOK_S if seconds is None else min(_LOOK_S, seconds - elapsed_s))
            except KeyboardInterrupt:
                self.stop("interrupted")
        self._outcome.tell()
        return self.report()

    def results(self) -> Iterator[Any]:
        """Yield the model's answers, the newest only where the newest wins; leaving the loop ends the run."""
        answers, over = self.answers(), False
        with self:
            try:
                while True:
                    try:
                        job = answers.take(0 if over else _LOOK_S)
                    except TimeoutError:
                        if over:
                            break
                        over = self._over()  # and one more look, for what came meanwhile
                    else:
                        yield job.value
            except Finished:
                pass
            finally:
                answers.stop()
        self._outcome.tell()

    def answers(self, told: Callable[[], object] | None = None) -> Handover[Job]:
        """Return where the answers will be to be taken, bounded as the policy says; ``told`` as ``Handover`` has it."""
        self._results = Handover(1 if self._hurry else _WAITING, told=told)
        return self._results

    def report(self) -> LedgerReport:
        """Return the ledger as it stands."""
        return self.ledger.report(tuple(self.events), self._outcome.why)

    def pause(self) -> None:
        """Answer no new frame; a live source's frames are dropped meanwhile."""
        if not self.paused:
            self._pace.pause()
            self._log("paused")

    def resume(self) -> None:
        """Go on."""
        if self.paused:
            self._pace.pause(False)
            self._log("resumed")

    @property
    def stopped(self) -> str:
        """What ended it, in words; nothing for the end of its sources."""
        return self._outcome.why

    @property
    def paused(self) -> bool:
        """Whether frames are held back."""
        return self._pace.paused

    def end_source(self, number: int) -> None:
        """Read one source no longer, and close it; the others go on. After the last one the run ends, paused or not."""
        count = len(self._intake.sources)
        if number not in range(count):
            raise UsageError(f"There is no source {number!r}; they are 0 to {count - 1}. Type: pipeline.end_source(0)")
        self._intake.end(number)
        if self._intake.all_ended:
            self._pace.pause(False)

    def stop(self, why: str = "stopped") -> None:
        """Take no new frame. What was answered goes to the sinks; from any thread, any number of times."""
        if self._outcome.stop(why):
            self._pace.stop()
            self._line.stop()
            self._close(self._intake.stop)

    def __enter__(self) -> Pipeline:
        self._outcome.begin()
        try:
            self._threads.begin()
        except BaseException:  # an interrupt in the middle, or a system that has no more threads
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outcome.running:
            self.stop()
        try:
            self._join()
        finally:
            self._close(self._intake.close)
            self._outcome.over()

    # ---- the threads

    def _deliver(self, group: Sequence[Job]) -> bool:
        """Hand answers to all who want them; False after the last that is wanted."""
        for job in group:
            self.ledger.answered(job.lane, job.frame.index, job.rung, job.passed)
            if self._ladder is not None:
                self._ladder.answered(job.passed[-1][0], job.came_ms, job.rung)
            for outlet in self._outlets:
                if not outlet.give(job):
                    self.ledger.missed(outlet.name)
            if self._results is not None:
                self._results.give_newest(job) if self._hurry else self._results.give(job)
            self._answers += 1
            if self._plan.limit is not None and self._answers >= self._plan.limit:
                self.stop("the limit is reached")
                return False
        return True

    # ---- the end

    def _fail(self, exc: BaseException) -> None:
        """End the run for a fault; nothing is carried farther."""
        self._outcome.fail(exc)
        self.stop("failed")

    def _cut(self, exc: BaseException) -> None:
        """End the run for a source's fault: nothing more is read, and what is on its way is answered."""
        self._outcome.fail(exc)
        for lane in range(len(self._intake.sources)):
            self._close(partial(self._intake.end, lane))
        self._pace.pause(False)

    def _close(self, closing: Callable[[], None]) -> None:
        """Close sources. What they say to it is a fault, but no reason to leave anything else undone."""
        try:
            closing()
        except Exception as exc:
            self._outcome.fail(exc)

    def _over(self) -> bool:
        """Tell whether no more answers come. A sink that is stuck is a fault; so is a stage, before live sources."""
        fault = self._threads.fault(engine=self._hurry or self._outcome.fault is not None)
        if fault is not None:
            self._fail(fault)
        return self._outcome.stopping or self._threads.done()

    def _join(self) -> None:
        left = self._threads.see_off()
        if left:
            self._log(f"did not end in {self._plan.stall_s:g} s and was left behind: {', '.join(left)}")
            self._outcome.fail(EdgevitError(f"{self.events[-1]}."))

    def _drained(self) -> None:
        """Let the sinks write what they have, and close."""
        self._outcome.end()
        for outlet in self._outlets:
            outlet.finish()
        if self._results is not None:
            self._results.finish()

    def _switched(self, switch: Switch, rung: int) -> None:
        self.ledger.switched(switch)
        self._log(f"{switch.new} answers instead of {switch.old}: {switch.why}")

    def _log(self, words: str) -> None:
        self.events.append(f"{self.ledger.seconds():.1f} s: {words}")
        if self._on_event is not None:
            self._on_event(self.events[-1])
