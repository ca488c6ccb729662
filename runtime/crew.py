"""Start the threads of a run, hear of their faults, and see them off at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .handover import Stopped

_LEAVE_S = 2.0
"""How long the end waits for those who may be left behind."""


class Crew:
    """Hold threads of one kind. ``fail`` hears each fault in the thread that has it; being stopped is none."""

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail
        self._threads: list[tuple[threading.Thread, Callable[[], bool]]] = []
        self._ending = 0
        self._lock = threading.Lock()

    def begin(self, name: str, work: Callable[[], object], *, may_stay: Callable[[], bool] = lambda: False) -> None:
        """Start one. ``may_stay`` tells whether it may be left behind, as one that waits for a device: it will end."""

        def guarded() -> None:
            try:
                work()
            except Stopped:
                pass
            except BaseException as exc:
                self._fail(exc)

        thread = threading.Thread(target=guarded, name=f"edgevit {name}", daemon=True)
        self._threads.append((thread, may_stay))
        thread.start()

    def alive(self) -> bool:
        """Tell whether one of them works still."""
        return any(thread.is_alive() for thread, _ in self._threads)

    def last(self) -> bool:
        """Tell the caller, one of them who is about to end and calls this once, whether all others have done so."""
        with self._lock:
            self._ending += 1
            return self._ending == len(self._threads)

    def look(self, timeout_s: float) -> None:
        """Wait until one of them ends, or for so long. A signal wakes the main thread."""
        for thread, _ in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)
                return

    def see_off(self, progress: Callable[[], object], stall_s: float) -> list[str]:
        """Wait until all have ended; return the names of those who made no progress for so long and were left.

        Those that may be left behind are, and not told of.
        """
        began_s = quiet_s = time.monotonic()
        last = progress()
        while self.alive():
            now_s, seen = time.monotonic(), progress()
            if seen != last:
                last, quiet_s = seen, now_s
            held = [thread.name for thread, may_stay in self._threads if thread.is_alive() and not may_stay()]
            if not held and now_s - began_s > _LEAVE_S:
                return []
            if held and now_s - quiet_s > stall_s:
                return [name.removeprefix("edgevit ") for name in held]
            self.look(0.02)
        return []
