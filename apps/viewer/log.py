"""Keep the newest answers as JSON lines, a bounded number of them, for who downloads the log."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence

from edgevit.runtime.results import Result

MOST_LINES = 20_000
"""Ten minutes at 30 frames a second, and a few megabytes."""


class Log:
    """Hold lines; one thread adds, others read."""

    def __init__(self, names: Sequence[str] = ("",), *, most: int = MOST_LINES) -> None:
        self._names = names
        self._lines: deque[str] = deque(maxlen=most)

    def add(self, result: Result, lane: int, answered_ms: float) -> None:
        """Add an answer; a number that JSON has no word for becomes a line that says so."""
        told: dict[str, object] = {"lane": lane}
        if len(self._names) > 1:
            told["source_name"] = self._names[lane]
        told["answered_ms"] = round(answered_ms, 2)
        try:
            line = json.dumps({**told, **result.to_dict()}, ensure_ascii=False, allow_nan=False)
        except ValueError:
            line = json.dumps({**told, "fault": "a number that is none"})
        self._lines.append(line)

    def text(self) -> str:
        """Return all lines."""
        return "".join(f"{line}\n" for line in self._lines.copy())
