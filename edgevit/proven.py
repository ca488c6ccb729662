"""Read what is proven: which model reaches which format in which precision, how well and how fast. No torch, no numpy.

``proven.json`` ships with edgevit. It is made by ``make matrix`` (edgevit.exporters.matrix) and holds one cell a line,
so that a change of one cell is a change of one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import SchemaError
from .reading import Table, read_json

FILE = Path(__file__).with_suffix(".json")
SCHEMA = 1

Verdict = Literal["proven", "runs", "refused", "unsupported", "failed", "crashed", "timeout", "memory", "not run"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
"""``proven``: made, run, and inside every gate that counts. ``runs``: made and run, but nothing could be gated, as with
int8 of random weights. ``refused``: short of a gate. ``unsupported``: the converter cannot. ``failed``: any other
fault. ``crashed``, ``timeout``, ``memory``: the process ended so. ``not run``: a tool was absent."""


@dataclass(frozen=True)
class Cell:
    """Tell how one model fared in one format and precision. What was not measured is None.

    ``relative`` is the median over the pictures of ``max|d| / max|reference|``. ``top1`` and ``accuracy`` are there for
    trained weights only. Latencies are medians of one thread in turns with torch on ``machine``; with ``clock``
    "processor" they are the processor time of the process, without it they are time on the wall. ``placement`` has one
    entry a unit: where operators run, and which fall back. ``machine`` and ``made`` are said where they are not those
    of the whole table.
    """

    model: str
    format: str
    precision: str
    verdict: str
    trained: bool = False
    proof: str | None = None
    stand_in: str | None = None
    size_bytes: int | None = None
    relative: float | None = None
    top1: float | None = None
    accuracy: float | None = None
    latency_ms: float | None = None
    torch_ms: float | None = None
    clock: str | None = None
    placement: tuple[Mapping[str, Any], ...] = ()
    op: str | None = None
    reason: str | None = None
    seconds: float | None = None
    machine: str | None = None
    made: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what tells one cell from another."""
        return self.model, self.format, self.precision

    @property
    def ratio(self) -> float | None:
        """Return the latency as a share of torch's own."""
        return self.latency_ms / self.torch_ms if self.latency_ms and self.torch_ms else None

    @property
    def placed(self) -> str:
        """Tell where how many operators run, a unit after the other, and what falls back; empty where not known."""
        return "; ".join(_placed(unit, named=len(self.placement) > 1) for unit in self.placement)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data without what is not known."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        told["placement"] = [dict(unit) for unit in self.placement] or None
        told["trained"] = self.trained or None
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def of(cls, table: Table) -> Cell:
        """Read one cell; unknown keys are passed over."""
        told: dict[str, Any] = {name: table.text(name) for name in ("model", "format", "precision")}
        told |= {name: table.text(name) for name in _TEXTS if name in table}
        told |= {name: table.number(name, 0, _MOST) for name in _NUMBERS if name in table}
        if "size_bytes" in table:
            told["size_bytes"] = table.whole("size_bytes", 0, _MOST)
        if "placement" in table:
            told["placement"] = tuple(dict(unit.data) for unit in table.tables("placement"))
        trained = "trained" in table and table.flag("trained")
        return cls(**told, verdict=table.one_of("verdict", VERDICTS), trained=trained)


def _placed(unit: Mapping[str, Any], *, named: bool) -> str:
    told = " + ".join(f"{count} {place}" for place, count in (unit.get("places") or {}).items()) or "nothing"
    kinds = [f"{count} {kind}" for kind, count in (unit.get("fallbacks") or {}).items()]
    fallen = ", ".join(kinds[:_KINDS_NAMED]) + (" and others" if len(kinds) > _KINDS_NAMED else "")
    return (f"{unit['unit']}: " if named else "") + told + (f" (falls back: {fallen})" if fallen else "")


_TEXTS = ("proof", "stand_in", "clock", "op", "reason", "machine", "made")
_NUMBERS = ("relative", "top1", "accuracy", "latency_ms", "torch_ms", "seconds")
_MOST = 1 << 50
_KINDS_NAMED = 4


@dataclass(frozen=True)
class Proven:
    """Hold all cells, and where and with what they were made. ``made`` is a date."""

    cells: tuple[Cell, ...]
    machine: str
    made: str
    tools: Mapping[str, str] = field(default_factory=dict)

    def select(
        self, *, models: Iterable[str] | None = None, format: str | None = None, precision: str | None = None
    ) -> tuple[Cell, ...]:
        """Return the cells that fit what is given."""
        wanted = None if models is None else set(models)
        return tuple(
            c
            for c in self.cells
            if (wanted is None or c.model in wanted) and format in (None, c.format) and precision in (None, c.precision)
        )

    def origins(self, cells: Iterable[Cell] | None = None) -> str:
        """Name the machines that cells were proven on, each with its days."""
        days: dict[str, set[str]] = {}
        for cell in self.cells if cells is None else cells:
            days.setdefault(cell.machine or self.machine, set()).add(cell.made or self.made)
        return "; ".join(f"{machine}, {' to '.join(sorted({min(d), max(d)}))}" for machine, d in days.items())

    def to_json(self) -> str:
        """Return the text of proven.json."""
        head = {"schema": SCHEMA, "machine": self.machine, "made": self.made, "tools": dict(self.tools)}
        lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
        cells = [f"    {json.dumps(c.to_dict(), ensure_ascii=False, allow_nan=False)}" for c in self.cells]
        return "\n".join(["{", *lines, '  "cells": [', ",\n".join(cells), "  ]", "}"]) + "\n"


def parse(text: str, *, where: str) -> Proven:
    """Read the text of proven.json."""
    try:
        table = Table.of(read_json(text), "")
        if table.data.get("schema") != SCHEMA:
            raise SchemaError(f"schema {table.data.get('schema')!r} is not {SCHEMA}")
        cells = tuple(map(Cell.of, table.tables("cells")))
        return Proven(cells, table.text("machine"), table.text("made"), table.words("tools"))
    except SchemaError as exc:
        raise SchemaError(f"{where} cannot be read: {str(exc).rstrip('.')}. Type: make matrix") from exc


def load(path: Path = FILE) -> Proven:
    """Return what this install ships."""
    return parse(path.read_text(encoding="utf-8"), where=path.name)


def share(cells: Iterable[Cell], precisions: tuple[str, ...] = ("fp32", "fp16")) -> tuple[int, int]:
    """Count the proven cells of some precisions, and all of them that were run."""
    judged = [c for c in cells if c.precision in precisions and c.verdict != "not run"]
    return sum(c.verdict == "proven" for c in judged), len(judged)
