"""Judge a classifier's outputs against the model's own: figures first, then gates. numpy only.

Relative error is ``max|d| / max|reference|`` of one picture. Its gate is on the median over the pictures, and is never
tighter than 20 times the model's own answer to 1e-6 of input noise; but noise lifts it to 1e-2 at the most, since a net
that is chaotic by itself proves nothing. On UNTRAINED weights top-1 agreement and every int8 figure are reported, not
gated, unless the caller named the gate.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import UsageError
from edgevit.samples import relative_errors as relative_errors

Outputs = npt.NDArray[np.float32]

GATES: Mapping[str, Mapping[str, float]] = {
    "fp32": {"relative": 1e-4, "top1": 0.99},
    "fp16": {"relative": 1e-2, "top1": 0.99},
    "int8": {"top1": 0.98},
    "w8a8": {"top1": 0.98},
    "pal6": {"top1": 0.98},
    "int4": {"top1": 0.95},
}
"""The default gates: ``relative`` is a ceiling, ``top1`` (the share of pictures with the same best class) a floor."""

NOISE_FACTOR = 20.0
NOISE_CEILING = 1e-2


@dataclass(frozen=True)
class Gate:
    """Hold one gate: its limit (a ceiling, or a floor), what was measured, and whether it counts."""

    name: str
    limit: float
    value: float
    passed: bool
    counted: bool
    floor: bool = False
    asked: float | None = None
    """The limit before the model's own noise lifted it."""

    def sentence(self) -> str:
        """Say the outcome in words."""
        measured, asked = (f"{self.value:.3g}", f"at most {self.limit:.3g}")
        if self.floor:
            measured, asked = f"{self.value:.1%}", f"at least {self.limit:.1%}"
        state = "passed" if self.passed else "failed"
        return f"{self.name} {measured} ({asked}): {state if self.counted else 'reported, not gated'}"


@dataclass(frozen=True)
class Figures:
    """Hold what was measured over the pictures."""

    top1: float
    cosine_median: float
    cosine_least: float
    relative_median: float
    relative_most: float
    noise_relative: float
    classes_seen: int
    """How many different answers the model gave: top-1 agreement on one class only says little."""
    accuracy_model: float | None = None
    accuracy_file: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return plain JSON data without what could not be measured."""
        return {key: plain(value) for key, value in asdict(self).items() if value is not None}


def measure(
    reference: Outputs, outputs: Outputs, *, noise_relative: float, truth: tuple[int, ...] | None = None
) -> Figures:
    """Compare (N, classes) with (N, classes)."""
    errors = relative_errors(reference, outputs)
    cosines = _cosines(reference, outputs)
    best, ours = reference.argmax(1), outputs.argmax(1)
    known = np.asarray(truth[: len(best)]) if truth is not None else None
    return Figures(
        top1=float((best == ours).mean()),
        cosine_median=float(np.median(cosines)),
        cosine_least=float(cosines.min()),
        relative_median=float(np.median(errors)),
        relative_most=float(errors.max()),
        noise_relative=noise_relative,
        classes_seen=len(np.unique(best)),
        accuracy_model=None if known is None else float((best == known).mean()),
        accuracy_file=None if known is None else float((ours == known).mean()),
    )


def _cosines(reference: Outputs, outputs: Outputs) -> npt.NDArray[np.float64]:
    a, b = reference.astype(np.float64), outputs.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = (a == b).all(1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines: npt.NDArray[np.float64] = np.where(norms > 0, (a * b).sum(1) / norms, same)
    return cosines


def limits_for(precision: str, chosen: Mapping[str, float] | None) -> dict[str, float]:
    """Return the gates of a precision, with the caller's own in their place."""
    limits = {**GATES[precision], **(chosen or {})}
    known = {"relative", "top1"}
    for name, limit in limits.items():
        if name not in known:
            raise UsageError(
                f"There is no gate '{name}'; gates are {', '.join(sorted(known))}. Type: --gate relative=1e-3"
            )
        if not (0 <= limit <= 1 if name == "top1" else 0 <= limit < np.inf):
            raise UsageError(
                f"The gate {name}={limit} makes no sense; top1 is a share from 0 to 1, relative is finite."
            )
    return limits


def judge(
    figures: Figures, limits: Mapping[str, float], *, precision: str, trained: bool, named: Container[str] = ()
) -> tuple[Gate, ...]:
    """Hold the figures against the gates. ``named`` gates were asked for by the caller, so they count in any case."""
    gates = []
    for name, asked in limits.items():
        counted = trained or name in named or (name == "relative" and precision in ("fp32", "fp16"))
        if name == "relative":
            limit = max(asked, min(NOISE_FACTOR * figures.noise_relative, NOISE_CEILING))
            value, passed = figures.relative_median, figures.relative_median <= limit
        else:
            limit, value, passed = asked, figures.top1, figures.top1 >= asked
        gates.append(Gate(name, limit, value, passed, counted, floor=name == "top1", asked=asked))
    return tuple(gates)


def plain(value: float) -> float | None:
    """Return a number as JSON can hold it: six digits, and None for what is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def gates_to_dict(gates: tuple[Gate, ...]) -> list[dict[str, Any]]:
    """Return plain JSON data."""
    return [{**asdict(gate), "value": plain(gate.value)} for gate in gates]
