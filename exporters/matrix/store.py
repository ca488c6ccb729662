"""Keep finished cells in a file of JSON lines: each is appended and synced, so whatever ends a run, the rest is kept.

A line holds a cell, the date, the machine, and the tools that made it, edgevit's own code for the format among them
(sources.py). A cell counts as finished only under the same tools; one that was ``not run`` never does. Where a cell
stands twice the last line counts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevit import weights
from edgevit.errors import EnvironmentFault, InputError, SchemaError
from edgevit.formats import FORMATS
from edgevit.proven import Cell
from edgevit.reading import Table, read_json

from ..versions import versions
from .plan import Key
from .sources import code_of

_TOOLS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "litert": ("litert-torch", "ai-edge-quantizer", "ai-edge-litert"),
    "openvino": ("openvino", "nncf"),
    "coreml": ("coremltools",),
    "executorch": ("executorch", "torchao"),
    "tensorrt": ("onnx", "onnxscript", "onnxruntime"),
}
_OF_ALL = ("torch", "timm", "numpy")


def tools_of(format_name: str, model: str, code: str | None = None) -> dict[str, str]:
    """Return what a cell depends on: versions of all tools, digests of our code and of the shipped weights if any."""
    card = weights.shipped().get(model)
    made_with = {**versions(*_OF_ALL, *_TOOLS[format_name]), "code": code or code_of(format_name)}
    return {**made_with, **({"weights": card.sha256[:12]} if card else {})}


@dataclass(frozen=True)
class Line:
    """Hold one line of the store."""

    cell: Cell
    tools: Mapping[str, str]
    machine: str
    at: str

    def to_json(self) -> str:
        """Return the line without its end."""
        told = {"cell": self.cell.to_dict(), "tools": dict(self.tools), "machine": self.machine, "at": self.at}
        return json.dumps(told, ensure_ascii=False, allow_nan=False)


class Store:
    """Hold an open store. One run at a time: the file is locked while it is open."""

    def __init__(self, path: Path, machine: str) -> None:
        self.path = path
        self._machine = machine
        # Taken once: a file that is edited during a run must not pass for what made the cells before.
        self._code = {name: code_of(name) for name in FORMATS}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            self._lock()
            self._lines = {line.cell.key: line for line in self._read()}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return all cells, each as it was last run."""
        return tuple(line.cell for line in self._lines.values())

    def finished(self, key: Key) -> Cell | None:
        """Return the cell if it was run with the tools of today."""
        line = self._lines.get(key)
        if line is None or line.cell.verdict == "not run" or dict(line.tools) != self._tools(key):
            return None
        return line.cell

    def add(self, cell: Cell) -> None:
        """Append a cell and make sure that it is on the disk."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line = Line(cell, self._tools(cell.key), self._machine, now)
        self._file.write(line.to_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._lines[cell.key] = line

    def _tools(self, key: Key) -> dict[str, str]:
        return tools_of(key[1], key[0], self._code[key[1]])

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise EnvironmentFault(f"{self.path} is in use by another run. Wait for it, or type: --out FILE") from exc

    def _read(self) -> Iterator[Line]:
        """Yield the lines; what a killed run left of its last one is cut off."""
        self._file.seek(0)
        whole, _, rest = self._file.read().rpartition(b"\n")
        if rest:
            self._file.truncate(len(whole) + bool(whole))
        yield from _parsed(whole.decode("utf-8", "replace"), self.path)


def read_lines(path: Path) -> tuple[Line, ...]:
    """Read a store without opening it for a run: each cell as it was last run."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}. Type: edgevit matrix --out {path}") from exc
    lines: dict[Key, Line] = {}
    for line in _parsed(whole.decode("utf-8", "replace"), path):
        lines[line.cell.key] = line
    return tuple(lines.values())


def _parsed(text: str, path: Path) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            table = Table.of(read_json(line), "")
            cell = Cell.of(table.table("cell"))
            yield Line(cell, table.words("tools"), _text(table.data, "machine"), _text(table.data, "at"))
        except SchemaError as exc:
            raise InputError(
                f"{path}, line {number}: {exc} This is no file of edgevit matrix. Type: --out ANOTHER"
            ) from exc


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
