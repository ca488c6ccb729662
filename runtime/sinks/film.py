"""Keep a film's bytes so that they can be played wherever the writing ends: a signal, a full disk, a killed process.

MP4 and MOV grow in fragments of about a second, each whole by itself, and become ordinary files when they are finished
(FFmpeg's ``hybrid_fragmented``); Matroska consists of such pieces anyway. The file grows as NAME.PID.part.SUFFIX, and
that is where the film of a killed process is found. What lies there already is never written over: in a container a
process that was killed and its successor have the same number.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from pathlib import Path
from typing import IO

_PIECE_US = 1_000_000
_HEAD = 64
"""Finishing an MP4 changes eight bytes of its beginning, behind the box that names the type."""


class Film:
    """Hold the growing file. ``file`` is Python's own C object: no signal's handler can run in the muxer's calls of it.

    A write that a full disk cuts short is no error to FFmpeg, so ``finish`` looks whether all of it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boxes = path.suffix.lower() != ".mkv"
        self.partial, self.file = _new_file(path)
        self._head = b""

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return {".mov": "mov", ".mkv": "matroska"}.get(self.path.suffix.lower(), "mp4")

    @property
    def options(self) -> dict[str, str]:
        """What makes it grow in pieces that reach the disk."""
        if not self.boxes:
            return {"cluster_time_limit": str(_PIECE_US // 1000), "flush_packets": "1"}
        return {"movflags": "+hybrid_fragmented+delay_moov", "frag_duration": str(_PIECE_US), "flush_packets": "1"}

    def finish_begins(self) -> None:
        """Remember what finishing changes."""
        self._head = self._head or os.pread(self.file.fileno(), _HEAD, 0)

    def finish(self) -> None:
        """Give it its name, when the muxer has closed; OSError if the disk took less than it was given."""
        if not self.file.closed:
            size = os.fstat(self.file.fileno()).st_size
            if not size:  # a signal came before the first picture was in it
                self.file.close()
                self.partial.unlink()
            elif self.boxes and _boxes(self.file.fileno(), size)[-1:] != [(b"moov", size)]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.file.close()
        if self.partial.exists():  # a signal may have come between the two
            self.partial.replace(self.path)

    def rescue(self) -> Path | None:
        """Keep the pieces that are whole, and nothing else; return where they are."""
        self.file.close()
        try:
            with self.partial.open("r+b", buffering=0) as file:
                whole = os.fstat(file.fileno()).st_size
                if self.boxes:
                    os.pwrite(file.fileno(), self._head, 0)
                    whole = max((end for name, end in _boxes(file.fileno(), whole) if name == b"mdat"), default=0)
                file.truncate(whole)
            if not whole:
                self.partial.unlink()
                return None
            self.partial.replace(self.path)
        except OSError:
            return self.partial if self.partial.exists() else None
        return self.path


def _new_file(path: Path) -> tuple[Path, IO[bytes]]:
    """Make the file that grows, under a name that nothing has."""
    number, tail = 1, ""
    while True:
        partial = path.with_name(f"{path.stem}.{os.getpid()}{tail}.part{path.suffix}")
        try:
            return partial, io.FileIO(partial, "x+")
        except FileExistsError:
            number += 1
            tail = f"-{number}"


def _boxes(file: int, size: int) -> list[tuple[bytes, int]]:
    """Return the names of the outermost boxes that are whole, and where each ends."""
    found, at = [], 0
    while at + 8 <= size:
        length, name = struct.unpack(">I4s", os.pread(file, 8, at))
        if length == 1:
            (length,) = struct.unpack(">Q", os.pread(file, 8, at + 8).ljust(8, b"\0"))
        if length < 8 or at + length > size:
            break
        at += length
        found.append((name, at))
    return found
