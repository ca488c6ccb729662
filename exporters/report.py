"""Hold the outcome of one verification: what was compared with what, the figures, the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .agreement import Gate, gates_to_dict


class Figures(Protocol):
    """Be what a task measures."""

    def to_dict(self) -> dict[str, float | None]:
        """Return plain JSON data."""


@dataclass(frozen=True)
class Report:
    """Tell whether a file is proven, and how that is known."""

    subject: str
    compared_with: str
    engine: str
    pictures: Mapping[str, Any]
    figures: Figures
    gates: tuple[Gate, ...]
    notes: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    """Where a failed gate points at a layer: sentences that name it."""

    @property
    def passed(self) -> bool:
        """True when every gate that counts was passed."""
        return all(gate.passed for gate in self.gates if gate.counted)

    def failures(self) -> tuple[str, ...]:
        """Say which gates failed, by how much, and which layer is at fault where it is known."""
        return (*(gate.sentence() for gate in self.gates if gate.counted and not gate.passed), *self.blamed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data, as it stands in the manifest."""
        return {
            "passed": self.passed,
            "subject": self.subject,
            "compared_with": self.compared_with,
            "engine": self.engine,
            "pictures": dict(self.pictures),
            "figures": self.figures.to_dict(),
            "gates": gates_to_dict(self.gates),
            "notes": [*self.blamed, *self.notes],
        }

    def __str__(self) -> str:
        outcome = "proven" if self.passed else "REFUSED"
        lines = [f"{self.subject}: {outcome} (compared with {self.compared_with}, {self.engine})"]
        lines += [f"  {gate.sentence()}" for gate in self.gates]
        return "\n".join(lines + [f"  {note}" for note in (*self.blamed, *self.notes)])
