"""Say where a model came from: its weights, the licences of code and weights, the tools that made the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    """Tell how a bundle was made, well enough to make it again."""

    weights: WeightsRecord
    code_licence: str
    tools: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    calibration: Mapping[str, Any] | None = None
    created: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = {**dataclasses.asdict(self), "weights": self.weights.to_dict()}
        return {key: value for key, value in data.items() if value not in (None, "")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Provenance:
        """Read it back; unknown keys are ignored."""
        names = {f.name for f in dataclasses.fields(cls)}
        weight_names = {f.name for f in dataclasses.fields(WeightsRecord)}
        weights = WeightsRecord(**{k: v for k, v in data["weights"].items() if k in weight_names})
        return cls(**{**{k: v for k, v in data.items() if k in names}, "weights": weights})
