"""Carry frames through a model's stages: a worker takes a frame all the way, and no thread is woken between stages.

There are as many workers as stages, and one more where they read the source themselves. Each stage lets the frames
through in their order, one at a time: so stages work on different frames at once, as with a thread each, but a frame
that finds the next stage free walks right on. Waking a thread costs more than all else that is done for a frame here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence

from .handover import Finished
from .intake import Intake
from .pacing import Pace
from .reading import Reading
from .stages import Heirs, Job, Rung
from .turns import Parcel, Turn


class Line:
    """Hold what the workers share. ``deliver`` gets the jobs of a parcel when they are answered; False ends it."""

    def __init__(
        self,
        rungs: Sequence[Rung],
        intake: Intake | Reading,
        pace: Pace,
        deliver: Callable[[Sequence[Job]], bool],
    ) -> None:
        self._rungs, self._intake, self._pace, self._deliver = rungs, intake, pace, deliver
        self._names = [stage.name for stage in rungs[0].stages]
        self._reads = Turn() if isinstance(intake, Reading) else None
        self._turns = [Turn() for _ in self._names]
        self._numbers = itertools.count()
        self._numbering = threading.Lock()
        self._heirs = Heirs(rungs)
        self._places: dict[int, int] = {}
        self._at_source: set[int] = set()
        self._steps = [0] * len(self._names)

    @property
    def workers(self) -> int:
        """How many can be of use."""
        return len(self._names) + (self._reads is not None)

    def work(self, worker: int) -> None:
        """Take parcels of frames and carry them through, until ``Finished`` or ``Stopped``."""
        while True:
            parcel = self._taken() if self._reads is None else self._read_by(worker, self._reads)
            for stage, turn in enumerate(self._turns):
                done = turn.enter(parcel)
                if done is not None:
                    parcel = done
                    continue
                self._places[worker] = stage
                waited: Parcel | None = parcel
                while waited is not None:
                    parcel = waited
                    if not self._do(stage, parcel.jobs):
                        return
                    waited = turn.leave(parcel)

    def place(self, worker: int) -> str:
        """Name the stage in which a worker was last."""
        return self._names[self._places.get(worker, 0)]

    def reading(self, worker: int) -> bool:
        """Tell whether a worker is at the source, which may never answer."""
        return worker in self._at_source

    def stuck(self) -> tuple[str, float]:
        """Return the stage that has been at the same parcel for the longest time, and that time in seconds."""
        stage, at_it_s = self._pace.longest()
        return self._names[stage], at_it_s

    def steps(self) -> int:
        """Return a number that rises with every parcel that leaves any stage."""
        return sum(self._steps)

    def stop(self) -> None:
        """Carry nothing farther."""
        for turn in (*self._turns, *([self._reads] if self._reads is not None else [])):
            turn.stop()

    def _taken(self) -> Parcel:
        """Take what other threads have read; the caller leads until it has gone through the first stage."""
        jobs = self._intake.next()
        return Parcel(next(self._numbers), jobs)  # nobody else leads now

    def _read_by(self, worker: int, turn: Turn) -> Parcel:
        self._at_source.add(worker)
        parcel = self._read(turn)
        self._at_source.discard(worker)
        return parcel

    def _read(self, turn: Turn) -> Parcel:
        """Read frames in the order of the numbers."""
        with self._numbering:  # here several come at once
            parcel = Parcel(next(self._numbers))
        done = turn.enter(parcel)
        if done is not None:
            return done
        while True:
            try:
                parcel.jobs = self._intake.next()
            except Finished:
                turn.finish()
                raise
            waited = turn.leave(parcel)
            if waited is None:
                return parcel
            parcel = waited

    def _do(self, stage: int, jobs: Sequence[Job]) -> bool:
        """Have a stage done, and deliver after the last one; False if no answer is wanted any more: all is stopped."""
        self._step(stage, jobs)
        if not stage:
            self._intake.led()
        return stage < len(self._names) - 1 or self._deliver(jobs)

    def _step(self, number: int, jobs: Sequence[Job]) -> None:
        rung = jobs[0].rung
        if not number:
            self._heirs.hand_over(jobs)
        self._pace.began(number)
        self._rungs[rung].stages[number].step(jobs)
        spent_ms = self._pace.ended(number, rung)
        now_ns, name = time.monotonic_ns(), self._names[number]
        self._steps[number] += 1
        for job in jobs:
            # Written down here and counted when it is answered, all at once: after a stage's work the caches are cold.
            job.spent_ms[name] = spent_ms / len(jobs)
            job.passed.append(((now_ns - job.born_ns) / 1e6, spent_ms))
