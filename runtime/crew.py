"""Start the threads of a run, hear of their faults, and see them off at the end.

Each says itself when it ends: a signal that comes while Python waits in ``Thread.join`` makes it believe, up to 3.12,
that a thread has ended which goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from .handover import Stopped

_LEAVE_S = 2.0
"""How long the end waits for those who may be left behind."""


class Crew:
    """Hold threads of one kind. ``fail`` hears each fault in the thread that has it; being stopped is none.

    ``drained`` is called by the one that ends last.
    """

    def __init__(self, fail: Callable[[BaseException], None], drained: Callable[[], None] = lambda: None) -> None:
        self._fail, self._drained = fail, drained
        self._at_work: dict[str, Callable[[], bool]] = {}
        self._ended = threading.Condition()

    def begin(self, name: str, work: Callable[[], object], *, may_stay: Callable[[], bool] = lambda: False) -> None:
        """Start one. ``may_stay`` tells whether it may be left behind, as one that waits for a device: it will end."""

        def guarded() -> None:
            try:
                work()
            except Stopped:
                pass
            except BaseException as exc:
                self._fail(exc)
            finally:
                with self._ended:
                    self._at_work.pop(name, None)
                    last = not self._at_work
                    self._ended.notify_all()
                if last:
                    with suppress(Stopped):
                        self._drained()

        self._at_work[name] = may_stay
        thread = threading.Thread(target=guarded, name=f"edgevit {name}", daemon=True)
        try:
            thread.start()
        except BaseException:
            if not thread.is_alive():
                self._at_work.pop(name, None)
            raise

    def alive(self) -> bool:
        """Tell whether one of them works still."""
        return bool(self._at_work)

    def names(self) -> frozenset[str]:
        """Name those that work still."""
        return frozenset(self._at_work)

    def look(self, timeout_s: float) -> None:
        """Wait until one of them ends, or for so long. A signal wakes the main thread."""
        with self._ended:
            if self._at_work:
                self._ended.wait(timeout_s)

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
            held = [name for name, may_stay in list(self._at_work.items()) if not may_stay()]
            if not held and now_s - began_s > _LEAVE_S:
                return []
            if held and now_s - quiet_s > stall_s:
                return held
            self.look(0.02)
        return []
