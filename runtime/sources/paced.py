"""Play what is not live at its own pace, as if it were a camera: frames come by themselves, fetched or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..frame import Frame
from .protocol import Source


class Paced:
    """Let each frame go when its time has come; what cannot keep up with it sees the same as with a camera."""

    live = True

    def __init__(self, source: Source) -> None:
        self.total = source.total
        self.name = getattr(source, "name", type(source).__name__.lower())
        self._source = source
        self._closed = threading.Event()

    @property
    def faults(self) -> Sequence[str]:
        """What the last loop passed over."""
        return self._source.faults

    def __iter__(self) -> Iterator[Frame]:
        began_ns = time.monotonic_ns()
        for frame in self._source:
            due_ns = began_ns + frame.captured_ns
            if self._closed.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9)):
                return
            yield replace(frame, captured_ns=due_ns)

    def close(self) -> None:
        self._closed.set()
        self._source.close()
