"""Write one line of JSON a frame, to a file or the standard output, each line at once and whole."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from edgevit.errors import BadOutputError

from ..frame import Frame
from ..results import Result
from .lines import LineFile
from .places import file_in_its_folder
from .protocol import Sink
from .several import source_of_answer


class JsonLinesFile:
    """Append lines to a new file."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.place = str(path)
        self._names = names
        self._lines = LineFile(path)

    def write(self, frame: Frame, result: Result) -> None:
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Append the line of an answer of that source."""
        self._lines.write(frame, line_of(result, source_of_answer(lane, self._names)))

    def close(self) -> None:
        self._lines.close()


class JsonLinesOut:
    """Print lines. A reader who has gone away is told as BrokenPipeError, so that the loop can end quietly."""

    place = "-"

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def write(self, frame: Frame, result: Result) -> None:
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Print the line of an answer of that source."""
        # A terminal of another encoding gets escapes, which every reader of JSON undoes.
        plain = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
        try:
            sys.stdout.write(line_of(result, source_of_answer(lane, self._names), plain=plain))
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more at its end and would complain there; let that go nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            raise

    def close(self) -> None:
        pass


def line_of(result: Result, source: dict[str, Any], *, plain: bool = False) -> str:
    """Return a result as one line of strict JSON, after what is said of its source."""
    try:
        return json.dumps({**source, **result.to_dict()}, ensure_ascii=plain, allow_nan=False) + "\n"
    except ValueError as exc:
        raise BadOutputError(f"A result holds a number that JSON has no word for ({exc}); it is not written.") from exc


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open a file, or ``-`` for the standard output."""
    return JsonLinesOut(names) if place == "-" else JsonLinesFile(file_in_its_folder(place, filled=True), names)
