"""Yield the frames of a video file, through PyAV, or OpenCV where there is no PyAV.

What can be decoded is yielded; damage is told once, at the end: as an InputError, or with ``on_error="skip"`` as a
fault. The road opens the file anew for every loop, so a source can be read twice.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from edgevit.errors import InputError, missing

from ..frame import Frame
from .protocol import OnError, Source

_ROADS = {"av": "edgevit.runtime.sources.video_av", "cv2": "edgevit.runtime.sources.video_cv"}


class Reel(Protocol):
    """One pass over a file. Frames come with their index and time; ``lost`` says in words what did not come."""

    total: int | None
    lost: str

    def frames(self) -> Iterator[Frame]:
        """Yield what can be decoded."""

    def close(self) -> None:
        """Give the file back."""


class Video:
    """Read a video file from its beginning, once a loop."""

    live, any_thread = False, True

    def __init__(self, path: str, *, on_error: OnError, open_reel: Callable[[str], Reel] | None = None) -> None:
        self.name = path
        self.faults: list[str] = []
        self._path = path
        self._on_error = on_error
        self._closed = False
        self._open_reel = open_reel or _by_first_decoder
        reel = self._open_reel(path)  # now, so that a file that is no video is told when it is opened
        self.total: int | None = reel.total
        reel.close()

    def __iter__(self) -> Iterator[Frame]:
        self.faults.clear()
        if self._closed:
            return
        reel = self._open_reel(self._path)
        count = 0
        try:
            for frame in reel.frames():
                count += 1
                yield frame
                if self._closed:
                    return
        finally:
            reel.close()
        self._tell(count, reel)

    def close(self) -> None:
        self._closed = True

    def _tell(self, count: int, reel: Reel) -> None:
        if not count:
            raise InputError(
                f"The video {self._path} has no frame that can be decoded{_because(reel.lost)}. Copy it again."
            )
        if reel.lost:
            message = f"The video {self._path} is damaged or cut short: {reel.lost}. {count} frames could be read."
            if self._on_error == "stop":
                raise InputError(f"{message} Copy it again.")
            self.faults.append(message)


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open a video file."""
    path = Path(place)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except PermissionError as exc:
        raise InputError(f"The video {path} may not be read: permission denied. Type: chmod u+r '{path}'") from exc
    if empty:
        raise InputError(f"The video {path} is empty: the file has no bytes. Copy it again.")
    return Video(place, on_error=on_error)


def _by_first_decoder(path: str) -> Reel:
    """Open the file with the first of the decoders that is installed."""
    for library, road in _ROADS.items():
        try:
            importlib.import_module(library)
        except ImportError:
            continue
        reel: Reel = importlib.import_module(road).open_reel(path)
        return reel
    raise missing("av", "Reading a video", "camera")


def _because(lost: str) -> str:
    return f" ({lost})" if lost else ""
