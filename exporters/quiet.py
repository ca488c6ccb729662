"""Keep the converters' own noise off the terminal, and tell their faults in one sentence; --verbose shows the rest."""

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

_LONGEST_REASON = 300
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "bad_alloc", "bad allocation")
"""How C++ tools say it, torch among them, where they raise no MemoryError."""

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

    def last_line(self) -> str:
        """Return the last line that says something, or nothing."""
        return next((line.strip() for line in reversed(self.text.splitlines()) if line.strip()), "")

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
def converting(fault: str, nearest: str) -> Iterator[Noise]:
    """Be quiet while a foreign tool works, and tell what it raises in one sentence.

    The sentence is ``fault``, the reason, and ``nearest``: what to type instead (``Try --precision fp32``). What the
    tool printed comes with ``--verbose``. What is no fault of the model passes, see ``pass_on``.
    """
    with quiet() as noise:
        try:
            yield noise
        except Exception as exc:
            pass_on(exc)
            told = reason(exc) if str(exc).strip() else noise.last_line() or type(exc).__name__
            raise ConversionError(sentence(fault, told, nearest)) from exc


def sentence(fault: str, told: str, nearest: str) -> str:
    """Return what a refusal says: what failed, why, what to type instead, and how to see the rest."""
    return f"{fault}: {told[:_LONGEST_REASON].rstrip('. ')}. {nearest.rstrip('.')}, or --verbose for the whole story."


def pass_on(exc: Exception) -> None:
    """Raise again what is no fault of the model: our own errors, a full disk, and memory that ran out.

    Tools wrap such errors in their own or tell them in words only, so the causes and the text are searched as well.
    The keeper of the staging folder says which place is full.
    """
    if isinstance(exc, (EdgevitError, MemoryError)):
        raise exc
    fault: BaseException | None = exc
    while fault is not None:
        if isinstance(fault, OSError) and fault.errno in _DISK_FULL:
            raise fault
        if isinstance(fault, MemoryError):
            raise fault
        fault = fault.__cause__ or fault.__context__
    text = str(exc).lower()
    for number in _DISK_FULL:
        if os.strerror(number).lower() in text:
            raise OSError(number, os.strerror(number)) from exc
    if any(words in text for words in _OUT_OF_MEMORY):
        raise MemoryError(reason(exc)) from exc


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
