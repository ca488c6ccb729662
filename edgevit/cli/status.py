"""Keep one line of now at the bottom of a terminal, and what is said above it. Several threads write both.

What does not go to that terminal never waits here: a reader that hangs would hold up the whole run.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from . import console

_EVERY = 10
"""Where there is no terminal every tenth line of now is enough, so that a log stays short."""
_ERASE = "\r\x1b[K"


class Status:
    """Write the line over itself on a terminal; what is said meanwhile takes its place, and it comes back below."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._both = self._moves and sys.stdout.isatty()
        self._lock = threading.RLock()  # a signal may log something in the middle of it
        self._shown = ""
        self._count = 0

    def now(self, line: str) -> None:
        """Show how it goes."""
        self._count += 1
        if self._moves:
            with self._lock:
                # A line that wraps could not be written over: only its last row would be.
                self._shown = line[: console.columns_of(sys.stderr) - 1]
                print(f"{_ERASE}{self._shown}", end="", file=sys.stderr, flush=True)
        elif self._count % _EVERY == 1:
            console.note(line)

    def say(self, text: str) -> None:
        """Print a line of the answer."""
        with self._above(self._both):
            console.say(text)

    def note(self, text: str) -> None:
        """Print a line beside the answer."""
        with self._above(self._moves):
            console.note(text)

    def end(self) -> None:
        """Leave the last line where it is; what comes after it goes below."""
        if self._shown:
            self._shown = ""
            print(file=sys.stderr, flush=True)

    @contextmanager
    def _above(self, mixed: bool) -> Iterator[None]:
        if not mixed:
            yield
            return
        with self._lock:
            if self._shown:
                print(_ERASE, end="", file=sys.stderr, flush=True)
            yield
            if self._shown:
                sys.stdout.flush()  # before the line that belongs below it
                print(self._shown, end="", file=sys.stderr, flush=True)
