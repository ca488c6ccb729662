"""Hold the answer: operators, where each runs, how that is known, and which of them fall back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgevit.devices import Device
from edgevit.manifest import GraphFile

Basis = Literal["executed", "rule"]
"""``executed``: seen in the engine here, or ordered by the file itself. ``rule``: read from what a vendor published."""

_NAMES_SHOWN = 3
_KINDS_NAMED = 4


@dataclass(frozen=True)
class Op:
    """Say where one operator runs. ``count`` is above 1 only where a file counts its operators and names none."""

    kind: str
    where: str
    basis: Basis
    why: str = ""
    falls_back: bool = False
    name: str = ""
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "op": self.kind,
            "name": self.name,
            "count": self.count,
            "where": self.where,
            "basis": self.basis,
            "why": self.why,
            "falls_back": self.falls_back,
        }


@dataclass(frozen=True)
class Group:
    """Stand for operators of one kind that share their place and the reason for it."""

    kind: str
    where: str
    basis: Basis
    why: str
    falls_back: bool
    count: int
    names: tuple[str, ...] = ()

    def names_text(self) -> str:
        """Return the first names."""
        more = " …" if len(self.names) > _NAMES_SHOWN else ""
        return ", ".join(self.names[:_NAMES_SHOWN]) + more


@dataclass(frozen=True)
class View:
    """Answer for one unit of the device. Only a view that ``decides`` can make a bundle fall back."""

    unit: str
    ops: tuple[Op, ...]
    decides: bool = True
    notes: tuple[str, ...] = ()
    graph: str = "main"

    @property
    def basis(self) -> str:
        """Say how the places are known."""
        return " and ".join(sorted({op.basis for op in self.ops})) or "executed"

    @property
    def fallbacks(self) -> tuple[Op, ...]:
        """Return the operators that do not run where they are meant to."""
        return tuple(op for op in self.ops if op.falls_back)

    def places(self) -> dict[str, int]:
        """Count the operators by where they run, most first."""
        counted: Counter[str] = Counter()
        for op in self.ops:
            counted[op.where] += op.count
        return dict(counted.most_common())

    def groups(self) -> tuple[Group, ...]:
        """Gather what is alike: what falls back comes first, then the more frequent."""
        gathered: dict[tuple[str, str, Basis, str, bool], list[Op]] = {}
        for op in self.ops:
            gathered.setdefault((op.kind, op.where, op.basis, op.why, op.falls_back), []).append(op)
        groups = [
            Group(*key, count=sum(op.count for op in ops), names=tuple(op.name for op in ops if op.name))
            for key, ops in gathered.items()
        ]
        return tuple(sorted(groups, key=lambda g: (not g.falls_back, -g.count, g.kind)))


@dataclass(frozen=True)
class Placement:
    """Hold the views of all graphs of a bundle."""

    format: str
    precision: str
    device: str | None
    views: tuple[View, ...]
    note: str = ""
    """What a reader must know of the whole, such as a device whose facts are not here."""

    @property
    def fallbacks(self) -> tuple[Op, ...]:
        """Return what falls back in the views that decide."""
        return tuple(op for view in self.views if view.decides for op in view.fallbacks)

    @property
    def falls_back(self) -> bool:
        """Tell whether an operator misses the unit that the bundle is meant for."""
        return bool(self.fallbacks)

    def sentence(self) -> str:
        """Name the operators that fall back, and from what; empty where none does."""
        told = [
            f"{_kinds_text(view.fallbacks)} will not run on {view.unit} ({'; '.join(_reasons(view.fallbacks))})"
            for view in self.views
            if view.decides and view.fallbacks
        ]
        return ", and ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data with every operator."""
        return {
            "format": self.format,
            "precision": self.precision,
            "device": self.device,
            "note": self.note,
            "falls_back": self.falls_back,
            "views": [{**_brief(view), "ops": [op.to_dict() for op in view.ops]} for view in self.views],
        }


@dataclass(frozen=True)
class Subject:
    """Hold one model file to look at. ``notes`` are what its exporter told, ``provider`` is ONNX Runtime's to ask."""

    path: Path
    graph: GraphFile
    precision: str
    device: Device | None = None
    provider: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def summary(placement: Placement) -> dict[str, Any]:
    """Return what a manifest keeps: counts by place, what falls back, and how that is known."""
    return {"falls_back": placement.falls_back, "views": [_brief(view) for view in placement.views]}


def _brief(view: View) -> dict[str, Any]:
    left = [g for g in view.groups() if g.falls_back]
    return {
        "graph": view.graph,
        "unit": view.unit,
        "basis": view.basis,
        "decides": view.decides,
        "places": view.places(),
        "fallbacks": [{"op": g.kind, "count": g.count, "where": g.where, "why": g.why} for g in left],
        "notes": list(view.notes),
    }


def _kinds_text(ops: Iterable[Op]) -> str:
    counted: Counter[str] = Counter()
    for op in ops:
        counted[op.kind] += op.count
    named = [f"{count} {kind}" for kind, count in counted.most_common(_KINDS_NAMED)]
    rest = sum(counted.values()) - sum(count for _, count in counted.most_common(_KINDS_NAMED))
    return ", ".join([*named, f"{rest} more"] if rest else named)


def _reasons(ops: Iterable[Op]) -> list[str]:
    reasons = list(dict.fromkeys(op.why for op in ops if op.why))
    return reasons[:2] + (["…"] if len(reasons) > 2 else [])
