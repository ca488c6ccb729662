"""Write results as rows of a CSV file, for spreadsheets: a row a picture for classes, a row a target for tracks.

The first line names the columns, which are the task's, with ``lane`` and ``source_name`` before them where there are
several sources. ``seconds`` is the frame's time on its source's clock. What a
row has no place for (the other classes, what a task adds of its own) is in JSON lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edgevit.errors import UnsupportedError

from ..frame import Frame
from ..results import Result
from .lines import LineFile
from .places import file_in_its_folder
from .protocol import Sink
from .several import source_of_answer

Rows = Iterable[tuple[Any, ...]]

_OF_FRAME = ("source", "index", "seconds", "height", "width")
_OF_SPEED = ("preprocess_ms", "inference_ms", "postprocess_ms")


def _classes(told: dict[str, Any]) -> Rows:
    best = told["top"][0]
    yield best["index"], best["name"], best["score"]


def _targets(told: dict[str, Any]) -> Rows:
    for target in told.get("tracks", (told,)):  # a single track tells of itself
        yield target["id"], target["state"], target["score"], *target["box_xyxy"]


_TASKS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], Rows]]] = {
    "classify": (("class", "name", "score"), _classes),
    "track": (("id", "state", "score", "left", "top", "right", "bottom"), _targets),
}


class CsvFile:
    """Append rows to a new file; the rows of one frame go out at once."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.place = str(path)
        self._names = names
        self._lines = LineFile(path)
        self._columns: tuple[str, ...] = ()

    def write(self, frame: Frame, result: Result) -> None:
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Append the rows of an answer of that source."""
        told = result.to_dict()
        if told.get("task") not in _TASKS:
            raise UnsupportedError(
                f"Rows can be written of {' and '.join(_TASKS)}, not of {told.get('task')!r}. Name a .jsonl file."
            )
        columns, rows_of = _TASKS[told["task"]]
        of_source = source_of_answer(lane, self._names)
        of_frame = (*of_source.values(), frame.source, frame.index, round(frame.captured_ns / 1e9, 6), *frame.size_hw)
        speed = tuple(told.get("speed", {}).get(name.removesuffix("_ms"), "") for name in _OF_SPEED)
        rows = [(*of_frame, *row, *speed) for row in rows_of(told)]
        if not self._columns:
            self._columns = (*of_source, *_OF_FRAME, *columns, *_OF_SPEED)
            rows.insert(0, self._columns)
        if rows:
            self._lines.write(frame, _text_of(rows))

    def close(self) -> None:
        self._lines.close()


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open a file."""
    return CsvFile(file_in_its_folder(place, filled=True), names)


def _text_of(rows: list[tuple[Any, ...]]) -> str:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerows(rows)
    return held.getvalue()
