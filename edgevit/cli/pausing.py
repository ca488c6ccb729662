"""Pause a live run when the system asks, and go on when it asks again: ``kill -USR1`` of the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevit.runtime.pipeline import Pipeline


@contextlib.contextmanager
def pausing() -> Iterator[Callable[[Pipeline], None]]:
    """Yield what takes the pipeline that is to listen. A signal before there is one does nothing."""
    listening: list[Pipeline] = []

    def toggle(number: int, frame: Any) -> None:
        for pipeline in listening:
            pipeline.resume() if pipeline.paused else pipeline.pause()

    if threading.current_thread() is not threading.main_thread():
        yield listening.append
        return
    before = signal.signal(signal.SIGUSR1, toggle)
    try:
        yield listening.append
    finally:
        signal.signal(signal.SIGUSR1, before)
