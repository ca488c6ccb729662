"""Say where a model came from: its weights, the licences of code and weights, the tools that made the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .reading import Table, as_text


@dataclass(frozen=True)
class WeightsRecord:
    """Tell which numbers fill a model. ``trained`` is False for random weights, which every result then says."""

    source: str
    trained: bool
    sha256: str | None = None
    licence: str = "unknown"
    url: str | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data without the unknown fields."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Provenance:
    """Tell how a bundle was made, well enough to make it again.

    ``given`` names what the exporter said of the preprocessing by hand (mean, std), against the weights' card.
    """

    weights: WeightsRecord
    code_licence: str
    tools: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    given: tuple[str, ...] = ()
    calibration: Mapping[str, Any] | None = None
    created: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = {**dataclasses.asdict(self), "weights": self.weights.to_dict()}
        return {key: value for key, value in data.items() if value not in (None, "", ())}

    @classmethod
    def from_table(cls, data: Table) -> Provenance:
        """Read it back; unknown keys are ignored, missing or ill-typed ones are named."""
        calibration = data.data.get("calibration")
        return cls(
            weights=_weights(data.table("weights")),
            code_licence=data.text("code_licence"),
            tools=data.words("tools") if "tools" in data else {},
            command=_optional(data, "command") or "",
            given=data.texts("given") if "given" in data else (),
            calibration=dict(data.table("calibration").data) if calibration is not None else None,
            created=_optional(data, "created") or "",
        )


def _weights(data: Table) -> WeightsRecord:
    return WeightsRecord(
        source=data.text("source"),
        trained=data.flag("trained"),
        sha256=_optional(data, "sha256"),
        licence=_optional(data, "licence") or "unknown",
        url=_optional(data, "url"),
        note=_optional(data, "note"),
    )


def _optional(data: Table, key: str) -> str | None:
    value = data.data.get(key)
    return None if value is None else as_text(value, f"{data.place}.{key}")
