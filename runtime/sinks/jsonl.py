"""Write one line of JSON a frame, to a file or the standard output, each line at once and whole."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from edgevit.errors import BadOutputError

from ..frame import Frame
from ..results import Result
from .lines import LineFile
from .places import file_in_its_folder
from .protocol import Sink


class JsonLinesFile:
    """Append lines to a new file."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._lines = LineFile(path)

    def write(self, frame: Frame, result: Result) -> None:
        self._lines.write(frame, line_of(result))

    def close(self) -> None:
        self._lines.close()


class JsonLinesOut:
    """Print lines. A reader who has gone away is told as BrokenPipeError, so that the loop can end quietly."""

    place = "-"

    def write(self, frame: Frame, result: Result) -> None:
        try:
            # A terminal of another encoding gets escapes, which every reader of JSON undoes.
            sys.stdout.write(line_of(result, plain=(sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")))
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more at its end and would complain there; let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise

    def close(self) -> None:
        pass


def line_of(result: Result, *, plain: bool = False) -> str:
    """Return a result as one line of strict JSON."""
    try:
        return json.dumps(result.to_dict(), ensure_ascii=plain, allow_nan=False) + "\n"
    except ValueError as exc:
        raise BadOutputError(f"A result holds a number that JSON has no word for ({exc}); it is not written.") from exc


def sink_of(place: str, kind: str) -> Sink:
    """Open a file, or ``-`` for the standard output."""
    return JsonLinesOut() if place == "-" else JsonLinesFile(file_in_its_folder(place))
