"""Carry frames through a model's stages: a worker takes a frame all the way, and no thread is woken between stages.

There are as many workers as stages, and each stage lets the frames through in their order, one at a time: so stages
work on different frames at once, as with a thread each, but a frame that finds the next stage free walks right on.
Waking a thread costs more than all else that is done for a frame here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from .handover import Stopped
from .intake import Intake
from .pacing import Pace
from .stages import Heir, Job, Rung


class Turn:
    """Let one in at a time, in the order of their numbers. Only who is next is woken."""

    def __init__(self) -> None:
        self._next = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._gates: dict[int, threading.Lock] = {}

    def enter(self, number: int) -> None:
        """Wait until it is this number's turn."""
        with self._lock:
            if not self._stopped:
                if self._next == number:
                    return
                gate = self._gates[number] = threading.Lock()
                gate.acquire()
        if not self._stopped:
            gate.acquire()
        if self._stopped:
            raise Stopped

    def leave(self) -> None:
        """Let the next one in."""
        with self._lock:
            self._next += 1
            gate = self._gates.pop(self._next, None)
        if gate is not None:
            gate.release()

    def stop(self) -> None:
        """Let nobody in any more; who waits gets ``Stopped``."""
        with self._lock:
            self._stopped = True
            gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.release()


class Line:
    """Hold what the workers share. ``deliver`` gets the jobs of a group when they are answered; False ends it."""

    def __init__(
        self,
        rungs: Sequence[Rung],
        intake: Intake,
        pace: Pace,
        deliver: Callable[[Sequence[Job]], bool],
    ) -> None:
        self._rungs, self._intake, self._pace, self._deliver = rungs, intake, pace, deliver
        self._names = [stage.name for stage in rungs[0].stages]
        self._turns = [Turn() for _ in self._names[1:]]
        self._number = 0
        self._used: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self._steps = [0] * len(self._names)
        self._since_s: list[float | None] = [None] * len(self._names)

    def work(self, worker: int) -> None:
        """Take groups of frames and carry them through, until ``Finished`` or ``Stopped``."""
        last = len(self._names) - 1
        while True:
            group = self._intake.next()
            number, self._number = self._number, self._number + 1  # nobody else leads now
            for stage in range(last + 1):
                if stage:
                    self._turns[stage - 1].enter(number)
                self._places[worker] = stage
                self._step(stage, group)
                if stage == last and not self._deliver(group):
                    return
                self._turns[stage - 1].leave() if stage else self._intake.led()

    def place(self, worker: int) -> str:
        """Name the stage in which a worker was last."""
        return self._names[self._places.get(worker, 0)]

    def stuck(self) -> tuple[str, float]:
        """Return the stage that has been at the same group for the longest time, and that time in seconds."""
        now_s = time.monotonic()
        spans = [0.0 if began is None else now_s - began for began in tuple(self._since_s)]
        return self._names[spans.index(max(spans))], max(spans)

    def steps(self) -> int:
        """Return a number that rises with every group that leaves any stage."""
        return sum(self._steps)

    def stop(self) -> None:
        """Carry nothing farther."""
        for turn in self._turns:
            turn.stop()

    def _step(self, number: int, group: Sequence[Job]) -> None:
        rung = group[0].rung
        if not number:
            self._hand_over(rung, group)
        self._pace.began(number)
        self._since_s[number] = time.monotonic()
        self._rungs[rung].stages[number].step(group)
        self._since_s[number] = None
        spent_ms = self._pace.ended(number, rung)
        now_ns, name = time.monotonic_ns(), self._names[number]
        self._steps[number] += 1
        for job in group:
            # Written down here and counted when it is answered, all at once: after a stage's work the caches are cold.
            job.spent_ms[name] = spent_ms / len(group)
            job.passed.append(((now_ns - job.born_ns) / 1e6, spent_ms))

    def _hand_over(self, rung: int, group: Sequence[Job]) -> None:
        """Let a model that comes in the place of another know what that one knew of each source."""
        for job in group:
            before = self._used.get(job.lane, 0)
            if before != rung:
                model = self._rungs[rung].model
                if isinstance(model, Heir):
                    model.take_over(self._rungs[before].model, job.lane)
                self._used[job.lane] = rung
