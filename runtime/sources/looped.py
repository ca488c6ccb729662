"""Play what is not live over and over at its own pace, as if it were a camera: for a page that stays open.

A camera is never behind: where reading takes longer than the pace, the film plays slower, and its frames are dated by
when they were there. ``Paced`` is for who wants a film's own times instead, once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..frame import Frame
from .protocol import Source

_LEAST_GAP_NS = 1_000_000
_GAP_NS = 33_333_333
"""Between the last frame of a round and the first of the next, where a film of one frame does not say it."""


class Looped:
    """Yield the frames of a source that waits, numbered on and on. ``once`` ends with the source."""

    live = True

    def __init__(self, source: Source, *, once: bool = False) -> None:
        self.total = source.total if once else None
        self.name = getattr(source, "name", type(source).__name__.lower())
        self._source, self._once = source, once
        self._closed = threading.Event()

    @property
    def faults(self) -> Sequence[str]:
        """What the last round passed over."""
        return self._source.faults

    def __iter__(self) -> Iterator[Frame]:
        number, gap_ns, due_ns = 0, _GAP_NS, time.monotonic_ns()
        while not self._closed.is_set():
            last_ns: int | None = None
            for frame in self._source:
                if last_ns is not None:
                    gap_ns = max(_LEAST_GAP_NS, frame.captured_ns - last_ns)
                last_ns = frame.captured_ns
                due_ns = max(due_ns + gap_ns, time.monotonic_ns())
                if self._closed.wait((due_ns - time.monotonic_ns()) / 1e9):
                    return
                yield replace(frame, captured_ns=due_ns, index=number)
                number += 1
            if self._once or last_ns is None:
                return

    def close(self) -> None:
        self._closed.set()
        self._source.close()
