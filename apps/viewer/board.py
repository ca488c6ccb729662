"""Sum up the run once a second for the page: pace, ages of that second, drops, reconnects; the last minutes of it."""

from __future__ import annotations

from collections import deque
from typing import Any

from edgevit.runtime.pipeline import Pipeline

from .desk import Desk
from .recorder import Recorder

HISTORY = 180
"""Seconds that a viewer who comes now still sees."""


class Board:
    """Compare the ledger with how it stood a second ago. One thread at a time uses it."""

    def __init__(self, pipeline: Pipeline, desk: Desk, recorder: Recorder) -> None:
        self._pipeline, self._desk, self._recorder = pipeline, desk, recorder
        self._seconds, self._answered = pipeline.ledger.seconds(), [0] * len(pipeline.report().sources)
        self._ages = pipeline.ledger.answers()[1]
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    def sample(self, viewers: int) -> dict[str, Any]:
        """Return the state of this second, and remember its figures."""
        report, ages = self._pipeline.report(), self._pipeline.ledger.answers()[1]
        passed_s = max(1e-3, report.seconds - self._seconds)
        spread = ages.since(self._ages).spread()
        figures = {
            "at_s": round(report.seconds, 1),
            "fps": [
                round((source.answered - before) / passed_s, 1)
                for source, before in zip(report.sources, self._answered, strict=True)
            ],
            "age": None if spread is None else {"p50_ms": round(spread.p50_ms, 1), "p95_ms": round(spread.p95_ms, 1)},
        }
        self._seconds, self._ages = report.seconds, ages
        self._answered = [source.answered for source in report.sources]
        self.history.append(figures)
        return {
            "type": "state",
            **figures,
            "sources": [
                {
                    "answered": source.answered,
                    "dropped": source.dropped,
                    "late": source.late,
                    "reconnects": source.reconnects,
                    "ids": self._desk.ids(lane),
                }
                for lane, source in enumerate(report.sources)
            ],
            "paused": self._pipeline.paused,
            "recording": self._recorder.state(),
            "viewers": viewers,
            "event": report.events[-1] if report.events else "",
        }
