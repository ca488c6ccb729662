"""Prove a tracker's bundle again: against the model where torch and weights are here, else against what was stored.

It needs no torch by itself, as ``exporters/verify.py`` does not, which hands trackers over to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.bundle import Bundle
from edgevit.progress import Progress, step
from edgevit.runtime.engines import Engine

from ..agreement import Gate, relative_errors
from ..proof import TOLERANCE
from ..report import Report
from ..stand_ins import open_file
from ..verify import levels_apart, model_of, seals
from . import agreement
from .agreement import FLOORS, GATES, UNTRAINED_NOTE, TrackFigures
from .composed import GRAPHS, Answers, Composed, check_graphs, wires
from .pairs import choose
from .proof import golden_answers, golden_tensors, kept_outputs, read_golden, read_reference

if TYPE_CHECKING:
    from .reference import TrackReference

MOST_PAIRS = 32
_MODEL = "edgevit.exporters.trackers.reference:of_bundle"


def verify_tracker(
    bundle: Bundle,
    changed: tuple[str, ...] = (),
    images: str | Path | None = None,
    golden: bool = False,
    weights: str | None = None,
    gates: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Prove a tracker again; the arguments are those of ``exporters.verify.verify``, ``changed`` names broken seals."""
    with _composed(bundle) as composed:
        judge = _Judge(bundle, composed, changed, gates)
        if golden:
            return judge.golden()
        model, why_not = model_of(bundle, weights, _MODEL)
        if model is None:
            return judge.stored([why_not, *(["--images was not used: only the model could answer"] if images else [])])
        return judge.with_model(model, images, progress)


@contextlib.contextmanager
def _composed(bundle: Bundle) -> Iterator[Composed]:
    """Open both graphs, after a look that what goes between them is there."""
    m = bundle.manifest
    check_graphs(m.graphs)
    list(wires(m.state, m.graphs))
    engines: dict[str, Engine] = {}
    try:
        for name in GRAPHS:
            engines[name] = open_file(m.format, bundle.graph_file(name), m.graphs[name]).engine
        yield Composed(m.spec, m.graphs, m.state, engines)
    finally:
        for engine in engines.values():
            engine.close()


class _Judge:
    """Hold a bundle against its gates: those it was sealed with, unless the caller names others."""

    def __init__(
        self, bundle: Bundle, composed: Composed, changed: tuple[str, ...], gates: Mapping[str, float] | None
    ) -> None:
        self._bundle, self._composed, self._changed = bundle, composed, changed
        kept = {g["name"]: g for g in bundle.manifest.verification.get("gates") or [] if g.get("name") in GATES["fp32"]}
        own = {name: float(g["asked"]) for name, g in kept.items() if isinstance(g.get("asked"), int | float)}
        self._named = frozenset(gates or ())
        self._limits = agreement.limits_for(bundle.manifest.precision, {**own, **(gates or {})})
        track = bundle.manifest.spec.track
        self._score = track.score if track else None

    def golden(self) -> Report:
        """Make the golden tensors again, and compare the answers to the stored ones."""
        picture, box, inputs, wanted = read_golden(self._bundle)
        made = golden_tensors(self._composed, picture, box)
        levels = max(levels_apart(made[name], inputs[name], self._composed.spec.image) for name in inputs)
        got = golden_answers(self._composed, inputs)
        track, told = (_of("track", answers) for answers in (wanted, got))
        figures = agreement.measure(track, told, noise_relative=0.0, score=self._score)
        state = _of("template", wanted)
        worst = max(float(relative_errors(state[n], got[f"template.{n}"]).max()) for n in state)
        tolerance = float(self._bundle.manifest.golden["relative_tolerance"])
        value = max(worst, figures.relative_median)
        checks = (
            Gate("input, in grey levels", 1.0, levels, levels <= 1.0, True),
            Gate("relative", tolerance, value, value <= tolerance, True),
        )
        return self._report("the golden output", "the bundle's own golden sample", 1, figures, checks)

    def stored(self, notes: list[str]) -> Report:
        """Compare with torch's stored answers, and with the files' own at export: few pairs, but exact ones."""
        m = self._bundle.manifest
        pairs, wanted, then = read_reference(self._bundle)
        now = {name: value for name, value in self._composed.answers(pairs).items() if name in kept_outputs(m)}
        noise = float(m.reference["noise_relative"])
        figures = agreement.measure(wanted, now, noise_relative=noise, score=self._score)
        apart = float(np.median(agreement.relative_of(then, now, self._score)))
        limit = TOLERANCE[m.precision]
        same = Gate("relative to its answers at export", limit, apart, apart <= limit, counted=True)
        # A handful of pairs is held to what the files themselves gave on these, where that was less than the gate.
        share = agreement.measure(wanted, then, noise_relative=noise, score=self._score).box_iou_median
        checks = (*self._gates(figures, few=share), same)
        return self._report("the stored reference", pairs.source, len(pairs), figures, checks, notes)

    def with_model(self, model: TrackReference, images: str | Path | None, progress: Progress | None) -> Report:
        """Compare with the model on fresh pairs."""
        spec = self._bundle.manifest.spec
        pairs = choose(spec, images, most=MOST_PAIRS, split="verification")
        with step(progress, "ask the model in torch"):
            wanted, noise = model.answers(pairs), model.noise_relative(pairs, self._score)
        got = self._composed.answers(pairs, progress)
        figures = agreement.measure(wanted, got, noise_relative=noise, score=self._score)
        wrong = model.differences(spec.image)
        card = Gate("differences from the card's preprocessing", 0.0, float(len(wrong)), not wrong, counted=True)
        checks = (*self._gates(figures), card)
        return self._report("torch", pairs.source, len(pairs), figures, checks, list(wrong))

    def _gates(self, figures: TrackFigures, few: float | None = None) -> tuple[Gate, ...]:
        m = self._bundle.manifest
        limits = dict(self._limits)
        if few is not None:
            limits |= {name: min(few, limits[name]) for name in FLOORS if name not in self._named}
        return agreement.judge(figures, limits, precision=m.precision, trained=m.trained, named=self._named)

    def _report(
        self,
        compared_with: str,
        source: str,
        count: int,
        figures: TrackFigures,
        gates: tuple[Gate, ...],
        notes: list[str] | None = None,
    ) -> Report:
        told = [*(notes or []), *(f"'{name}' is not the file that was sealed" for name in self._changed)]
        told += [] if self._bundle.manifest.trained else [UNTRAINED_NOTE]
        engine = self._composed.engines["track"].description
        pictures = {"source": source, "count": count}
        every = (*gates, *seals(self._changed))
        return Report(str(self._bundle.path), compared_with, engine, pictures, figures, every, tuple(told))


def _of(graph: str, answers: Answers) -> Answers:
    """Return the outputs of one graph under their own names."""
    return {name.removeprefix(f"{graph}."): value for name, value in answers.items() if name.startswith(f"{graph}.")}
