"""Look after the places where sinks write: see beforehand that they can, keep the input from being overwritten.

Nothing is made before there is something to write: a mistyped input leaves no empty folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgevit.errors import UsageError

from ..frame import Frame


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, or say why it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise UsageError(f"{folder} is a file, so nothing can be written into it. Name a folder.") from exc
    except OSError as exc:
        raise UsageError(f"The folder {folder} cannot be made: {exc.strerror or exc}. Name another one.") from exc


def check_folder(folder: str | os.PathLike[str], *, file: str = "") -> Path:
    """Raise unless files can be made there, now or after the folder was made; nothing stays behind.

    Rights say too little: root has all of them on /proc, and nobody can make a file on a disk that is read-only.
    """
    wanted = path_of(folder)
    try:
        there = next(place for place in (wanted, *wanted.absolute().parents) if place.exists())
        if not there.is_dir():
            if there == wanted:
                raise UsageError(f"{wanted} is a file, so nothing can be written into it. Name a folder.")
            raise UsageError(f"The folder {wanted} cannot be made: {there} is a file. Name another one.")
        with tempfile.TemporaryFile(dir=there):
            return wanted
    except OSError as exc:
        why = "the system makes no files there" if isinstance(exc, FileNotFoundError) else exc.strerror or str(exc)
        raise UsageError(
            f"Nothing can be written into {wanted}: {why}. Name another place, such as ~/{file or wanted.name}"
        ) from exc


def file_in_its_folder(place: str, *, filled: bool = False) -> Path:
    """Return the path of a file that can be written.

    It will be moved there when it is whole; ``filled`` means that it grows there, and then its folder does not matter
    where it is already.
    """
    path = path_of(place)
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror or exc}. Name another file.") from exc
    if folder:
        raise UsageError(f"{path} is a folder; a file of that name cannot be written. Name a file in it.")
    if not (filled and there):
        check_folder(path.parent, file=path.name)
    elif not os.access(path, os.W_OK):
        raise UsageError(f"{path} is there already and may not be written over. Name another file.")
    return path


def path_of(place: str | os.PathLike[str]) -> Path:
    """Return the path that was typed, ``~`` opened."""
    try:
        return Path(place).expanduser()
    except RuntimeError as exc:  # ~nobody
        raise UsageError(f"{place} cannot be found: {exc} Type the folder itself.") from exc


def refuse_twice(places: Iterable[str | os.PathLike[str]]) -> None:
    """Raise if two outputs are the same file: each would write over the other's lines."""
    seen: set[Path] = set()
    for given in places:
        place = os.fspath(given)
        if "://" in place.removeprefix("file://") or place.endswith(("/", os.sep)):
            continue  # windows and nothing are no files; a folder's pictures are replaced one by one
        path = path_of(place.removeprefix("file://")).resolve()
        if path in seen:
            raise UsageError(f"The output {place} is named twice. Leave one of them out.")
        seen.add(path)


def refuse_the_input(target: Path, frame: Frame) -> None:
    """Raise if the file to write is the one that the frame came from."""
    refuse_inputs(target, [frame.source])


def refuse_inputs(target: Path, sources: Iterable[str]) -> None:
    """Raise if what is to be written is one of the inputs."""
    for source in sources:
        try:
            same = bool(source) and target.samefile(source)
        except (OSError, ValueError):  # one of the two is no file, so they are not the same
            same = False
        if same:
            raise UsageError(f"{target} is the input itself and will not be overwritten. Name another output.")
