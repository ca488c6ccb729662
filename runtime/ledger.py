"""Keep the frame-age ledger: how old each frame was after each stage, and what became of every frame of each source.

All times are on the monotonic clock, so that a change of the system's clock does nothing. Any thread may write.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ages import Ages
from .ladder import Switch
from .ledger_report import LedgerReport, SourceReport, StageReport

CAPTURE = "capture"
_WINDOW_NS = 3_000_000_000
_MOST_IN_WINDOW = 4096


@dataclass
class SourceCount:
    """Count what became of one source's frames."""

    name: str
    captured: int = 0
    answered: int = 0
    dropped: int = 0
    late: int = 0
    disordered: int = 0
    reconnects: Callable[[], int] = lambda: 0
    left_out: Callable[[], int] = lambda: 0
    last_index: int = -1
    first_ns: int = 0
    last_ns: int = 0


def name_of(number: int, source: Any) -> str:
    """Return how the ledger calls a source."""
    return str(getattr(source, "name", f"source {number}"))


def counted(sources: Sequence[Any]) -> list[SourceCount]:
    """Begin to count the frames of sources, how often they came back, and what they left undecoded to keep up."""

    def count(number: int, source: Any) -> SourceCount:
        return SourceCount(
            name_of(number, source),
            reconnects=lambda: int(getattr(source, "reconnects", 0)),
            left_out=lambda: int(getattr(source, "left_out", 0)),
        )

    return [count(*item) for item in enumerate(sources)]


@dataclass
class _Stage:
    age: Ages = field(default_factory=Ages)
    spent: Ages = field(default_factory=Ages)
    missed: int = 0


class Ledger:
    """Hold the counts of one run. The last stage's age is the answer's; sinks come behind it."""

    def __init__(
        self,
        sources: Sequence[SourceCount],
        stages: Sequence[str],
        sinks: Sequence[str] = (),
        models: Sequence[str] = ("",),
    ) -> None:
        self._began_ns = time.monotonic_ns()
        self._lock = threading.Lock()
        self._sources = tuple(sources)
        self._stages = {name: _Stage() for name in (CAPTURE, *stages, *sinks)}
        self._answer = stages[-1]
        self._passed = 0
        self._models = tuple(models)
        self._answers = [0] * len(self._models)
        self._switches: list[Switch] = []
        self._recent: deque[int] = deque(maxlen=_MOST_IN_WINDOW)

    def captured(self, lane: int, age_ms: float) -> None:
        """Count a frame that came."""
        with self._lock:
            self._sources[lane].captured += 1
            self._stages[CAPTURE].age.add(age_ms)

    def dropped(self, lane: int, *, late: bool = False) -> None:
        """Count a frame that a newer one replaced, or that the deadline let go."""
        with self._lock:
            if late:
                self._sources[lane].late += 1
            else:
                self._sources[lane].dropped += 1

    def passed(self, stage: str, age_ms: float, spent_ms: float) -> None:
        """Count a frame that left a stage."""
        with self._lock:
            self._passed += 1
            held = self._stages[stage]
            held.age.add(age_ms)
            held.spent.add(spent_ms)

    def missed(self, sink: str) -> None:
        """Count an answer that a slow sink did not get."""
        with self._lock:
            self._stages[sink].missed += 1

    def switched(self, switch: Switch) -> None:
        """Note that another model answers from now on."""
        with self._lock:
            self._switches.append(switch)

    def answered(self, lane: int, index: int, model: int = 0) -> None:
        """Count an answer, and whether it came in the order of its source's frames."""
        now = time.monotonic_ns()
        with self._lock:
            source = self._sources[lane]
            source.disordered += index <= source.last_index
            source.last_index = index
            source.first_ns = source.first_ns or now
            source.last_ns = now
            source.answered += 1
            self._answers[model] += 1
            self._recent.append(now)

    def seconds(self) -> float:
        """Return how long the run has been going."""
        return (time.monotonic_ns() - self._began_ns) / 1e9

    def fps_now(self) -> float:
        """Return the pace of the last three seconds, all sources together."""
        with self._lock:
            since = time.monotonic_ns() - _WINDOW_NS
            while self._recent and self._recent[0] < since:
                self._recent.popleft()
            return _fps(len(self._recent), self._recent[-1] - self._recent[0]) if self._recent else 0.0

    def progress(self) -> int:
        """Return a number that rises with every frame that leaves any stage or sink."""
        with self._lock:
            return self._passed

    def answers(self) -> tuple[int, Ages]:
        """Return how many answers there were and a copy of their ages, for who compares one minute with the next."""
        with self._lock:
            return sum(s.answered for s in self._sources), self._stages[self._answer].age.copy()

    def ages(self) -> dict[str, tuple[Ages, Ages]]:
        """Return copies of each stage's ages and of how long it took, for who counts them in classes of their own."""
        with self._lock:
            return {name: (held.age.copy(), held.spent.copy()) for name, held in self._stages.items()}

    def report(self, events: Sequence[str] = (), stopped: str = "") -> LedgerReport:
        """Return all of it as data that stays as it is."""
        with self._lock:
            stages = tuple(
                StageReport(name, held.age.spread(), held.spent.spread(), held.missed)
                for name, held in self._stages.items()
            )
            sources = tuple(_report_of(source) for source in self._sources)
            models = tuple(zip(self._models, self._answers, strict=True)) if len(self._models) > 1 else ()
            switches = tuple(self._switches)
        return LedgerReport(
            self.seconds(), sources, stages, self._answer, tuple(events), stopped, models=models, switches=switches
        )


def _report_of(source: SourceCount) -> SourceReport:
    left_out = source.left_out()  # they came, and a newer one was wanted
    return SourceReport(
        source.name,
        source.captured + left_out,
        source.answered,
        source.dropped + left_out,
        source.late,
        source.disordered,
        source.reconnects(),
        _fps(source.answered, source.last_ns - source.first_ns),
    )


def _fps(count: int, span_ns: int) -> float:
    """Return frames a second: n frames span n - 1 gaps."""
    return (count - 1) * 1e9 / span_ns if count > 1 and span_ns > 0 else 0.0
