"""Find the weights that ship, and the cards that say what they are; no torch, and nothing is trusted unchecked.

A model ``name`` has up to three things in this folder: ``name.safetensors`` (fp16), ``name.json`` (its card) and
``name-onnx-fp32/`` (a sealed bundle, for boards without torch).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgevit.errors import WeightsError

FOLDER: Final = Path(__file__).parent
BUNDLE_SUFFIX: Final = "-onnx-fp32"
_FIGURES: Final = {"top-1": "test_10000", "success AUC": "tracked"}
"""Under what name a card's ``accuracy`` holds the figure of its ``measure``."""


@dataclass(frozen=True)
class Card:
    """Hold what a card says. ``details`` is the whole card: how the weights were made and how good they are.

    ``accuracy`` is the figure that is told of them, in 0..1, and ``measure`` says of what.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    labels: tuple[str, ...]
    licence: str
    accuracy: float
    measure: str
    details: Mapping[str, Any] = field(repr=False, hash=False)

    @property
    def told(self) -> str:
        """Say how good the weights are, in three words."""
        return f"{self.accuracy:.1%} right" if self.measure == "top-1" else f"{self.measure} {self.accuracy:.2f}"


def shipped(folder: Path = FOLDER) -> dict[str, Card]:
    """Return the cards of all weights in the folder, by the model's name."""
    return {path.stem: card(path.stem, folder) for path in sorted(folder.glob("*.json"))}


def card(name: str, folder: Path = FOLDER) -> Card:
    """Read one card."""
    path = folder / f"{name}.json"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json"))) or "none"
        raise WeightsError(f"No weights are shipped for {name!r}. Shipped: {known}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        read = Card(
            name=str(data["name"]),
            file=str(data["file"]),
            sha256=str(data["sha256"]),
            bytes=int(data["bytes"]),
            parameters=int(data["parameters"]),
            labels=tuple(str(label) for label in data["labels"]),
            licence=str(data["licence"]),
            accuracy=float(data["accuracy"][_FIGURES[data["measure"]]]),
            measure=str(data["measure"]),
            details=data,
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WeightsError(f"The card {path} cannot be read: {exc!r}. Install edgevit anew.") from exc
    if read.name != name or Path(read.file).name != read.file:
        raise WeightsError(f"The card {path} is of {read.name!r} and names the file {read.file!r}; expected {name!r}.")
    return read


def weights_path(name: str, folder: Path = FOLDER) -> Path:
    """Return the safetensors file of a shipped model, after its size and hash were found to be the card's."""
    wanted = card(name, folder)
    path = folder / wanted.file
    if not path.is_file():
        raise WeightsError(f"The weights {path} are missing though their card is there. Install edgevit anew.")
    data = path.read_bytes()
    if len(data) != wanted.bytes or hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise WeightsError(
            f"The weights {path} are not those of their card ({len(data)} bytes, expected {wanted.bytes} with sha256 "
            f"{wanted.sha256[:12]}…). Install edgevit anew."
        )
    return path


def bundle_path(name: str, folder: Path = FOLDER) -> Path | None:
    """Return the sealed ONNX bundle that ships with a model, or None if there is none."""
    path = folder / (card(name, folder).name + BUNDLE_SUFFIX)
    return path if (path / "manifest.json").is_file() else None
