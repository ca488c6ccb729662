"""Keep the converters' own noise off the terminal: caught at the file descriptors, told only when it matters."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

_TAIL_LINES = 12
_LOUD = False


def set_verbose(verbose: bool) -> None:
    """Let the noise through (``--verbose``), or catch it."""
    global _LOUD
    _LOUD = verbose


@dataclass
class Noise:
    """Hold what a converter printed."""

    text: str = ""
    lines: list[str] = field(default_factory=list)

    def tail(self) -> str:
        """Return the last lines, where the reason usually stands."""
        return "\n".join(self.lines[-_TAIL_LINES:])


@contextlib.contextmanager
def quiet() -> Iterator[Noise]:
    """Catch stdout, stderr, warnings and log records, C++ output included. Verbose mode catches nothing.

    The descriptors belong to the process: two exports in two threads would swallow each other's output, so
    exports in one process go one after another.
    """
    noise = Noise()
    if _LOUD:
        yield noise
        return
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings(), _descriptors_to(sink.fileno()):
        warnings.simplefilter("ignore")
        previous = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield noise
        finally:
            logging.disable(previous)
            _flush()
            sink.seek(0)
            noise.text = sink.read().decode("utf-8", "replace")
            noise.lines = [line for line in noise.text.splitlines() if line.strip()]


@contextlib.contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    _flush()
    saved = [(n, os.dup(n)) for n in (1, 2)]
    try:
        for n, _ in saved:
            os.dup2(target, n)
        yield
    finally:
        _flush()
        for n, copy in saved:
            os.dup2(copy, n)
            os.close(copy)


def _flush() -> None:
    ctypes.CDLL(None).fflush(None)  # C's own buffer of stdout would come out later, after the answer
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
