"""Look after the places where sinks write: make the folder, keep the input from being overwritten."""

from __future__ import annotations

import os
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
        raise UsageError(f"The folder {folder} cannot be made: {exc.strerror or exc}.") from exc
    if not os.access(folder, os.W_OK):
        raise UsageError(f"The folder {folder} cannot be written to: permission denied. Name another one.")


def file_in_its_folder(place: str) -> Path:
    """Return the path of an output file whose folder exists."""
    path = Path(place).expanduser()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; a file of that name cannot be written.")
    make_folder(path.parent)
    return path


def refuse_twice(places: Iterable[str | os.PathLike[str]]) -> None:
    """Raise if two outputs are the same file: each would write over the other's lines."""
    seen: set[Path] = set()
    for given in places:
        place = os.fspath(given)
        if "://" in place.removeprefix("file://") or place.endswith(("/", os.sep)):
            continue  # windows and nothing are no files; a folder's pictures are replaced one by one
        path = Path(place.removeprefix("file://")).expanduser().resolve()
        if path in seen:
            raise UsageError(f"The output {place} is named twice. Leave one of them out.")
        seen.add(path)


def refuse_the_input(target: Path, frame: Frame) -> None:
    """Raise if the file to write is the one that the frame came from."""
    try:
        same = bool(frame.source) and target.samefile(frame.source)
    except (OSError, ValueError):  # one of the two is no file, so they are not the same
        same = False
    if same:
        raise UsageError(f"{target} is the input itself and will not be overwritten. Name another output.")
