"""Yield pictures from files: one, a folder's, or those that fit a glob, in natural order, one a second."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from edgevit.errors import InputError
from edgevit.pictures import is_picture_name, list_pictures, natural_order, read_picture

from ..frame import Frame
from .protocol import OnError, Source

SECOND_NS = 1_000_000_000
_MOST_LOOKED_INTO = 1000


class Pictures:
    """Read one picture at a time, when it is asked for."""

    live, any_thread = False, True

    def __init__(self, paths: Sequence[Path], *, on_error: OnError, name: str) -> None:
        self.name = name
        self.total: int | None = len(paths)
        self.faults: list[str] = []
        self._paths = tuple(paths)
        self._on_error = on_error
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        self.faults.clear()
        index = 0
        for path in self._paths:
            if self._closed:
                return
            try:
                rgb = read_picture(path)
            except InputError as exc:
                if self._on_error == "stop":
                    raise
                self.faults.append(str(exc))
                continue
            yield Frame(rgb, "rgb", index * SECOND_NS, index, str(path))
            index += 1
        if not index and self.faults:
            raise InputError(f"None of the {len(self._paths)} pictures could be read. The first: {self.faults[0]}")

    def close(self) -> None:
        self._closed = True


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open one picture, a folder or a glob."""
    path = Path(place)
    if path.is_dir():
        paths = list_pictures(path, recursive=recursive) or _nothing_in(path, recursive)
    elif path.exists():
        paths = (path,)
    else:
        paths = _matches(place)
    return Pictures(paths, on_error=on_error, name=place)


def _matches(pattern: str) -> tuple[Path, ...]:
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - Path.glob refuses absolute ones
    pictures = tuple(sorted((p for p in found if is_picture_name(p) and p.is_file()), key=natural_order))
    if not pictures:
        others = f" What it fits, such as {found[0]}, are no pictures." if found else ""
        raise InputError(f"No picture fits the pattern {pattern}.{others} Expected files such as *.jpg or *.png.")
    return pictures


def _nothing_in(folder: Path, recursive: bool) -> tuple[Path, ...]:
    deeper = None if recursive else _deeper(folder)
    if deeper:
        raise InputError(
            f"The folder {folder} has no pictures of its own, but its folders have, such as {deeper}. "
            f"Type: '{folder}/**/*{deeper.suffix}' (with the quotes)"
        )
    other = next((entry.name for entry in sorted(folder.iterdir()) if entry.is_file()), None)
    seen = f"; it has {other}, for one. A video is named itself" if other else ", and no other file"
    raise InputError(f"The folder {folder} has no pictures (.jpg, .png and their like){seen}.")


def _deeper(folder: Path) -> Path | None:
    """Look for one picture in the folders of a folder; not for long, since somebody waits and it may be the root."""
    walk = islice(os.walk(folder), _MOST_LOOKED_INTO)
    files = (Path(place, name) for place, _, names in walk for name in sorted(names))
    return next((path for path in files if is_picture_name(path)), None)
