"""Read tracking sequences: folders of frames with a true box a frame, in the layouts of OTB, GOT-10k and VOT.

A sequence is a folder with ``groundtruth.txt`` or ``groundtruth_rect.txt`` and pictures in it, in ``img/`` (OTB) or in
``color/`` (VOT). A line is x, y, width, height, or the corners of a polygon (VOT), whose upright box is taken. A line
of NaN or without an area, and a 1 in ``absence.label`` (GOT-10k), mean that the target cannot be seen. Boxes count from
0; OTB's own files count from 1 (``origin`` says which).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import InputError
from edgevit.pictures import list_pictures

from .frame import Frame
from .sources import open_source

Box = tuple[float, float, float, float]

_TRUTHS = ("groundtruth.txt", "groundtruth_rect.txt")
_FOLDERS = ("", "img", "color", "imgs", "frames")
_BETWEEN = re.compile(r"[,\s;]+")


@dataclass(frozen=True)
class Sequence:
    """Hold one sequence. A box is None where the target cannot be seen; the first one starts the tracker."""

    name: str
    pictures: tuple[Path, ...]
    boxes_xywh: tuple[Box | None, ...]

    def frames(self) -> Iterator[Frame]:
        """Read the frames, one at a time."""
        for index, path in enumerate(self.pictures):
            with_one = open_source(str(path))
            try:
                frame = next(iter(with_one))
            finally:
                with_one.close()
            yield Frame(frame.data, frame.pixel_format, index * 1_000_000_000 // 30, index, str(path))


def find_sequences(where: str | Path, *, origin: int = 0) -> tuple[Sequence, ...]:
    """Return the sequence in a folder, or all those in its folders, by name."""
    folder = Path(where)
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}. Expected one with frames and groundtruth.txt, or of such folders."
        )
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and _truth_of(path)]
    found = [folder] if _truth_of(folder) else inside
    if not found:
        raise InputError(f"{folder} holds no sequence: no {' or '.join(_TRUTHS)} in it or in a folder of it.")
    return tuple(_sequence(path, origin) for path in found)


def _truth_of(folder: Path) -> Path | None:
    return next((folder / name for name in _TRUTHS if (folder / name).is_file()), None)


def _sequence(folder: Path, origin: int) -> Sequence:
    truth = _truth_of(folder)
    assert truth is not None
    boxes = [_box(line, truth, number, origin) for number, line in enumerate(_lines(truth), 1)]
    for number, absent in enumerate(_absences(folder, len(boxes))):
        boxes[number] = None if absent else boxes[number]
    pictures = _pictures(folder)
    if len(pictures) != len(boxes):
        raise InputError(f"{folder} has {len(pictures)} frames and {len(boxes)} boxes; there must be one for each.")
    if len(boxes) < 2 or boxes[0] is None:
        raise InputError(f"{folder}: a sequence has two frames or more, and a box in the first.")
    return Sequence(folder.name, tuple(pictures), tuple(boxes))


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read ({exc}). Expected lines of x,y,width,height.") from exc


def _box(line: str, path: Path, number: int, origin: int) -> Box | None:
    try:
        values = [float(word) for word in _BETWEEN.split(line.strip())]
    except ValueError:
        values = []
    if len(values) == 4:
        x, y, w, h = values
    elif len(values) >= 6 and len(values) % 2 == 0:
        across, down = values[0::2], values[1::2]
        x, y, w, h = min(across), min(down), max(across) - min(across), max(down) - min(down)
    else:
        raise InputError(f"{path}, line {number}: expected x,y,width,height or a polygon's corners, not {line[:60]!r}.")
    if not all(math.isfinite(value) for value in (x, y, w, h)) or w <= 0 or h <= 0:
        return None
    return x - origin, y - origin, w, h


def _absences(folder: Path, count: int) -> list[bool]:
    path = folder / "absence.label"
    if not path.is_file():
        return [False] * count
    marks = [line.strip() for line in _lines(path)]
    if len(marks) != count or not set(marks) <= {"0", "1"}:
        raise InputError(f"{path} must have {count} lines of 0 or 1, one a frame.")
    return [mark == "1" for mark in marks]


def _pictures(folder: Path) -> list[Path]:
    for name in _FOLDERS:
        place = folder / name
        if place.is_dir() and (found := list_pictures(place)):
            return list(found)
    raise InputError(f"{folder} holds no frames: no pictures in it or in {', '.join(filter(None, _FOLDERS))}.")
