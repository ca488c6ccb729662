"""Append whole lines to a new file, each at once: whoever reads it, or ends this process, finds no half line.

A line that could not be written whole is taken back. What is no ordinary file, a named pipe say, takes nothing back;
its reader may go away as one of the standard output may.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

from edgevit.errors import UsageError, unwritable

from ..frame import Frame
from .places import make_folder, refuse_the_input
from .protocol import PATIENCE_S


class LineFile:
    """Hold the file, which begins with the first line. A late writer cannot begin it anew once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._closed = False
        self._lock = threading.RLock()  # one who was interrupted in here may close

    def write(self, frame: Frame, text: str) -> None:
        """Append the text, which ends with a line's end; ``frame`` is what it was made of."""
        with self._lock:
            if self._closed:
                raise UsageError(f"{self._path} is finished; it takes no more lines.")
            try:
                if self._file < 0:  # only now is it known that the input is another file
                    refuse_the_input(self._path, frame)
                    make_folder(self._path.parent)
                    self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
                self._append(memoryview(text.encode()))
            except BrokenPipeError:
                raise
            except OSError as exc:
                raise unwritable(str(self._path), exc, kept="The lines before it are whole.") from exc

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self._closed = True
        if not self._lock.acquire(timeout=PATIENCE_S):
            return
        try:
            if self._file >= 0:
                file, self._file = self._file, -1
                os.close(file)
        finally:
            self._lock.release()

    def _append(self, line: memoryview) -> None:
        before = os.fstat(self._file)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            if stat.S_ISREG(before.st_mode):
                with contextlib.suppress(OSError):  # it would hide the reason
                    os.ftruncate(self._file, before.st_size)
                    os.lseek(self._file, before.st_size, os.SEEK_SET)
            raise
