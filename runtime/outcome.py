"""Know whether a run goes on, and what ended it: its end, a caller, or the first fault of any thread."""

from __future__ import annotations

import threading
from typing import Literal

from edgevit.errors import UsageError


class OutputLeft(BaseException):
    """Say that nobody takes an output any more: a pipe's reader went away, a window was closed. It is no fault."""


class Outcome:
    """Go from ``new`` through ``running`` to ``ended``, or ``stopping`` where somebody would not wait, to ``over``."""

    def __init__(self) -> None:
        self.why = ""
        self.fault: BaseException | None = None
        self._state: Literal["new", "running", "ended", "stopping", "over"] = "new"
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether frames are still taken in."""
        return self._state == "running"

    @property
    def stopping(self) -> bool:
        """Whether somebody has stopped it."""
        return self._state == "stopping"

    def begin(self) -> None:
        """Raise if it has begun before."""
        with self._lock:
            if self._state != "new":
                raise UsageError("A pipeline runs once; make another one.")
            self._state = "running"

    def end(self) -> None:
        """Say that there are no more frames."""
        with self._lock:
            if self._state == "running":
                self._state = "ended"

    def stop(self, why: str) -> bool:
        """Say that somebody stops it; False if somebody has before."""
        with self._lock:
            if self._state in ("stopping", "over"):
                return False
            self._state, self.why = "stopping", self.why or why
            return True

    def fail(self, fault: BaseException) -> None:
        """Keep the first fault; that an output was left is kept only until there is one."""
        with self._lock:
            if self.fault is None or isinstance(self.fault, OutputLeft):
                self.fault = fault
            self.why = self.why or "failed"

    def over(self) -> None:
        """Say that all is seen off, so that a late word changes nothing."""
        with self._lock:
            self._state = "over"

    def tell(self) -> None:
        """Raise what went wrong."""
        if isinstance(self.fault, OutputLeft):
            self.why = str(self.fault)
        elif self.fault is not None:
            raise self.fault
