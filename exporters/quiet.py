"""Keep the converters' own noise off the terminal: caught at the file descriptors, told only when it matters."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from edgevit.errors import ConversionError, EdgevitError, reason

_TAIL_LINES = 6
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOUD = False


def set_verbose(verbose: bool) -> None:
    """Let the noise through (``--verbose``), or catch it."""
    global _LOUD
    _LOUD = verbose


class Noise:
    """Hold what a converter printed: readable while it is still being caught, and after."""

    def __init__(self) -> None:
        self._sink: int | None = None
        self._text = ""

    @property
    def text(self) -> str:
        """Everything so far."""
        if self._sink is not None:
            _flush()
            self._text = _read(self._sink).decode("utf-8", "replace")
        return self._text

    def tail(self) -> str:
        """Return the last lines, where the reason usually stands."""
        return "\n".join([line.rstrip() for line in self.text.splitlines() if line.strip()][-_TAIL_LINES:])

    def quoted(self) -> str:
        """Return the last lines as the end of a message: set off below the sentence, or nothing."""
        lines = self.tail().splitlines()
        return "\n".join(["", "The converter's last words:", *(f"  {line}" for line in lines)]) if lines else ""

    @contextlib.contextmanager
    def _from(self, sink: int) -> Iterator[None]:
        self._sink = sink
        try:
            yield
        finally:
            _ = self.text  # the last look, before the file is gone
            self._sink = None


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
            with noise._from(sink.fileno()):
                yield noise
        finally:
            logging.disable(previous)


@contextlib.contextmanager
def converting(fault: str, hint: str = "") -> Iterator[Noise]:
    """Be quiet while a foreign tool works, and translate what it raises: ``fault``, its reason, its last words.

    Our own errors pass as they are, and so does a full disk, which the staging folder's keeper tells.
    """
    with quiet() as noise:
        try:
            yield noise
        except EdgevitError:
            raise
        except Exception as exc:
            if isinstance(exc, OSError) and exc.errno in _DISK_FULL:
                raise
            raise ConversionError(f"{fault}: {reason(exc).rstrip('.')}.{hint}{noise.quoted()}") from exc


def _read(descriptor: int) -> bytes:
    """Read a whole file and leave its position, which is where the next line will be written."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


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
