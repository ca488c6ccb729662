"""Write annotated pictures: into a folder under the input's names, or one to one file. The input is never touched."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from edgevit.errors import UsageError
from edgevit.pictures import WRITABLE_SUFFIXES, is_picture_name, write_picture

from ..frame import Frame
from ..results import Result
from .drawn import picture_of
from .places import check_folder, file_in_its_folder, make_folder, refuse_the_input
from .protocol import Sink

_NUMBERED = re.compile(r"(.*)-(\d{6,})\.jpg", re.DOTALL)


class PictureFolder:
    """Write each frame under its own name; a name that this run has already used gets a number."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder
        self._used: set[str] = set()
        self._last: dict[str, int] = {}

    def write(self, frame: Frame, result: Result) -> None:
        target = self._folder / self._unused(frame)
        refuse_the_input(target, frame)
        make_folder(self._folder)
        write_picture(target, picture_of(result))

    def close(self) -> None:
        pass

    def _unused(self, frame: Frame) -> str:
        path, number = PurePath(name_for(frame)), 1
        candidate = path.name
        while self._is_used(candidate):
            number += 1
            candidate = f"{path.stem}-{number}{path.suffix}"
        numbered = _NUMBERED.fullmatch(candidate.casefold())
        if numbered and not is_picture_name(frame.source):
            self._last[numbered[1]] = int(numbered[2])  # one for all: a camera has as many names as it has frames
        else:
            self._used.add(candidate.casefold())
        return candidate

    def _is_used(self, name: str) -> bool:
        """Tell whether this run wrote such a file; some file systems hold A.jpg and a.jpg for one."""
        numbered = _NUMBERED.fullmatch(name.casefold())
        return name.casefold() in self._used or bool(numbered and int(numbered[2]) <= self._last.get(numbered[1], -1))


class OnePicture:
    """Write the only frame of an input to a file."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path
        self._written = False

    def write(self, frame: Frame, result: Result) -> None:
        if self._written:
            raise UsageError(
                f"{self._path} holds one picture, and the input has more. Name a folder, such as "
                f"{self._path.with_suffix('')}/, or a video, such as {self._path.with_suffix('.mp4').name}."
            )
        refuse_the_input(self._path, frame)
        make_folder(self._path.parent)
        write_picture(self._path, picture_of(result))
        self._written = True

    def close(self) -> None:
        pass


def name_for(frame: Frame) -> str:
    """Return a file name: the input's own for a picture, the input's with the frame's number for all else."""
    tail = re.split(r"[/\\]", frame.source.rstrip("/\\"))[-1]
    clean = re.sub(r"[^\w.+@=, -]+", "_", tail).strip(". ")
    path = PurePath(clean or "frame")
    if not is_picture_name(path):
        return f"{path.stem}-{frame.index:06d}.jpg"
    return clean if path.suffix.lower() in WRITABLE_SUFFIXES else f"{path.stem}.png"


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open a folder, or one file."""
    return OnePicture(file_in_its_folder(place)) if kind == "picture" else PictureFolder(check_folder(place))
