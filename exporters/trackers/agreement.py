"""Judge a tracker's answers against the model's own: figures first, then gates. numpy only.

Relative error is the worst of the box, both corner maps and the features (``max|d| / max|reference|`` each) of one
pair; its gate is on the median over the pairs, lifted by the model's own noise as a classifier's is. In fp16 it is
lifted by as much more as a step of fp16 is larger than that noise, to 0.1 at the most: a map is a softmax, and what is
an error of a hundredth in its scores is one in all its numbers. ``box_iou`` is the overlap of the file's box with the
model's, and its gate a floor under the median: it says what matters. ``auc_loss`` is how much worse clips are
followed, in short legs (``drift.py``). On UNTRAINED weights, whose boxes are chance, overlaps count in fp32 only; the
rest is reported.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from edgevit.errors import UsageError
from edgevit.runtime.track_score import overlap

from ..agreement import NOISE_CEILING, NOISE_FACTOR, Gate, plain, relative_errors
from .composed import Answers

GATES: Mapping[str, Mapping[str, float]] = {
    "fp32": {"relative": 1e-4, "box_iou": 0.99, "auc_loss": 0.01},
    "fp16": {"relative": 1e-2, "box_iou": 0.95, "auc_loss": 0.01},
    "int8": {"box_iou": 0.90, "auc_loss": 0.01},
    "w8a8": {"box_iou": 0.90, "auc_loss": 0.01},
    "pal6": {"box_iou": 0.90, "auc_loss": 0.01},
    "int4": {"box_iou": 0.80, "auc_loss": 0.02},
}
"""The default gates: ``relative`` and ``auc_loss`` are ceilings, ``box_iou`` a floor."""
FLOORS = ("box_iou",)
UNTRAINED_NOTE = "UNTRAINED weights: the boxes mean nothing, so clips and int8 figures are reported, not gated"
_ALWAYS = (("fp32", "relative"), ("fp32", "box_iou"), ("fp16", "relative"))
"""What counts on UNTRAINED weights too."""
_HALF_STEP = 2**-11 / 1e-6
"""A step of fp16, in units of the noise that the model is asked about."""
_HALF_CEILING = 0.1
_MAPS = ("top_left", "bottom_right")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackFigures:
    """Hold what was measured over the pairs, and over whole clips where some were followed.

    ``score_most`` is the largest difference of the score as a probability. ``drift_iou`` is the mean overlap of the
    file's track with the model's; the AUCs are against the clips' own boxes.
    """

    relative_median: float
    relative_most: float
    relative_box: float
    relative_maps: float
    box_iou_median: float
    box_iou_least: float
    noise_relative: float
    relative_features: float | None = None
    score_most: float | None = None
    drift_iou: float | None = None
    auc_model: float | None = None
    auc_file: float | None = None

    @property
    def auc_loss(self) -> float | None:
        """Return how much worse the file follows than the model; nothing is lost where it is better."""
        if self.auc_model is None or self.auc_file is None:
            return None
        return max(0.0, self.auc_model - self.auc_file)

    def to_dict(self) -> dict[str, float | None]:
        """Return plain JSON data without what could not be measured."""
        return {key: plain(value) for key, value in asdict(self).items() if value is not None}


def measure(wanted: Answers, got: Answers, *, noise_relative: float, score: str | None = None) -> TrackFigures:
    """Compare the answers to as many pairs; outputs that the reference does not hold are left alone."""
    errors = _errors(wanted, got, score)
    worst = np.max(list(errors.values()), axis=0)
    ious = np.array([_box_iou(a, b) for a, b in zip(wanted["box"], got["box"], strict=True)])
    others = [errors[name] for name in errors if name not in ("box", *_MAPS)]
    return TrackFigures(
        relative_median=float(np.median(worst)),
        relative_most=float(worst.max()),
        relative_box=float(np.median(errors["box"])),
        relative_maps=float(np.median(np.max([errors[name] for name in _MAPS], axis=0))),
        box_iou_median=float(np.median(ious)),
        box_iou_least=float(ious.min()),
        noise_relative=noise_relative,
        relative_features=float(np.median(np.max(others, axis=0))) if others else None,
        score_most=float(np.abs(_sure(wanted[score]) - _sure(got[score])).max()) if score else None,
    )


def relative_of(wanted: Answers, got: Answers, score: str | None = None) -> Values:
    """Return the relative error of each pair."""
    worst: Values = np.max(list(_errors(wanted, got, score).values()), axis=0)
    return worst


def _errors(wanted: Answers, got: Answers, score: str | None) -> dict[str, Values]:
    """Return each output's error of every pair. The score is a logit, for which zero is no small number."""
    return {name: relative_errors(wanted[name], got[name]) for name in wanted if name != score}


def _box_iou(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Compare two boxes cx, cy, w, h. Corners the wrong way round mean that there is none; both must agree."""
    if np.array_equal(one, other):
        return 1.0
    boxes = [tuple(float(v) for v in box) for box in (one, other)]
    first, second = ((cx - abs(w) / 2, cy - abs(h) / 2, abs(w), abs(h)) for cx, cy, w, h in boxes)
    return overlap(first, second)


def _sure(logits: npt.NDArray[np.float32]) -> Values:
    sure: Values = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
    return sure


def limits_for(precision: str, chosen: Mapping[str, float] | None) -> dict[str, float]:
    """Return the gates of a precision, with the caller's own in their place."""
    limits = {**GATES[precision], **(chosen or {})}
    known = tuple(GATES["fp32"])
    for name, limit in limits.items():
        if name not in known:
            raise UsageError(f"There is no gate '{name}' for trackers; gates are {', '.join(sorted(known))}.")
        if not (0 <= limit <= 1 if name != "relative" else 0 <= limit < np.inf):
            raise UsageError(f"The gate {name}={limit} makes no sense; box_iou and auc_loss are from 0 to 1.")
    return limits


def judge(
    figures: TrackFigures,
    limits: Mapping[str, float],
    *,
    precision: str,
    trained: bool,
    named: Container[str] = (),
) -> tuple[Gate, ...]:
    """Hold the figures against the gates. ``named`` gates were asked for by the caller, so they count in any case."""
    gates = []
    for name, asked in limits.items():
        value = {"relative": figures.relative_median, "box_iou": figures.box_iou_median}.get(name, figures.auc_loss)
        if value is None:
            continue  # no clip was followed
        limit = max(asked, _lifted(figures.noise_relative, precision)) if name == "relative" else asked
        passed = value >= limit if name in FLOORS else value <= limit
        counted = trained or name in named or (precision, name) in _ALWAYS
        gates.append(Gate(name, limit, value, passed, counted, floor=name in FLOORS, asked=asked))
    return tuple(gates)


def _lifted(noise_relative: float, precision: str) -> float:
    """Return the limit below which the model's own noise says that nothing can be told."""
    if precision == "fp16":
        return min(NOISE_FACTOR * _HALF_STEP * noise_relative, _HALF_CEILING)
    return min(NOISE_FACTOR * noise_relative, NOISE_CEILING)
