"""Compute both graphs of a tracker in emulated fp16, one behind the other: ``exporters/half.py`` twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..agreement import Gate
from ..half import MOST_PICTURES, RANGE_GATE, HalfFigures, HalfInterpreter
from ..recipe import LARGEST_IN_HALF, Converted, Traced
from .agreement import relative_of
from .composed import GRAPHS, Answers, joined
from .pairs import PairSet
from .reference import TrackReference


@dataclass(frozen=True)
class TrackHalf:
    """Tell the largest value inside each graph, and how far fp16 arithmetic moves the answers of both together."""

    graphs: Mapping[str, HalfFigures]
    relative_median: float

    def gates(self, made: Mapping[str, Converted]) -> tuple[Gate, ...]:
        """Return one gate a graph: nothing inside may leave the range of fp16.

        A converter that kept in float32 what leaves the range tells what is left in fp16.
        """
        gates = []
        for name, seen in self.graphs.items():
            peak = made[name].notes.get(LARGEST_IN_HALF, seen.peak)
            own = HalfFigures(peak, seen.relative_median).gate()
            gates.append(Gate(f"{RANGE_GATE} {name}", own.limit, own.value, own.passed, own.counted, asked=own.asked))
        return tuple(gates)

    def told(self, failed: frozenset[str]) -> tuple[str, ...]:
        """Name the first layer outside of each graph whose gate failed, where it is known."""
        found = ((name, seen.first_outside) for name, seen in self.graphs.items())
        return tuple(f"in '{name}' {where}" for name, where in found if where and f"{RANGE_GATE} {name}" in failed)


def audit(traced: Mapping[str, Traced], model: TrackReference, pairs: PairSet, wanted: Answers) -> TrackHalf:
    """Run some pairs in rounded arithmetic and compare with the model's answers."""
    some, image, track = pairs[:MOST_PICTURES], model.model.spec.image, model.model.spec.track
    assert track is not None
    runs = {name: HalfInterpreter(traced[name].program.module()) for name in GRAPHS}
    rows = []
    for (template,), (search, *_) in zip(*(model.rows(name, some, image) for name in GRAPHS), strict=True):
        with torch.no_grad():
            told = runs["template"].run(torch.from_numpy(template))
            named = {t.name: a for t, a in zip(traced["template"].outputs, told, strict=True)}
            handed_on = (named[name] for name in model.handed_on)
            answers = runs["track"].run(torch.from_numpy(search), *handed_on)
        rows.append({t.name: a.numpy() for t, a in zip(traced["track"].outputs, answers, strict=True)})
    rounded = joined(rows)
    reference = {name: value[: len(rows)] for name, value in wanted.items()}
    with np.errstate(invalid="ignore"):
        error = float(np.median(relative_of(reference, rounded, track.score)))
    error = error if all(np.isfinite(a).all() for a in rounded.values()) else float("inf")
    seen = {n: HalfFigures(max(run.peaks.values(), default=0.0), error, run.first_outside()) for n, run in runs.items()}
    return TrackHalf(seen, error)
