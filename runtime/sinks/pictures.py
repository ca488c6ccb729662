"""Write annotated pictures: into a folder under the input's names, or one to one file. The input is never touched."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from edgevit.errors import UsageError
from edgevit.pictures import WRITABLE_SUFFIXES, is_picture_name, write_picture

from ..frame import Frame
from ..results import Result
from .places import file_in_its_folder, make_folder, refuse_the_input
from .protocol import Sink


class PictureFolder:
    """Write each frame under its own name; a name that this run has already used gets a number."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.place = str(folder)
        self._folder = folder
        self._used: set[str] = set()

    def write(self, frame: Frame, result: Result) -> None:
        target = self._folder / self._unused(name_for(frame))
        refuse_the_input(target, frame)
        write_picture(target, result.plot())

    def close(self) -> None:
        pass

    def _unused(self, name: str) -> str:
        path, number, candidate = PurePath(name), 1, name
        while candidate.casefold() in self._used:  # some file systems hold A.jpg and a.jpg for one
            number += 1
            candidate = f"{path.stem}-{number}{path.suffix}"
        self._used.add(candidate.casefold())
        return candidate


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
        write_picture(self._path, result.plot())
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


def sink_of(place: str, kind: str) -> Sink:
    """Open a folder, or one file."""
    return OnePicture(file_in_its_folder(place)) if kind == "picture" else PictureFolder(Path(place).expanduser())
