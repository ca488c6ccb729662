"""Prove a tracker's files, and gather the evidence: both graphs together on pairs, then along whole clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevit.errors import ConversionError
from edgevit.manifest import GraphFile, Manifest
from edgevit.models import ModelDef
from edgevit.progress import Progress, step
from edgevit.runtime.engines import Engine
from edgevit.runtime.tasks.track import OPERATIONS
from edgevit.spec import Spec

from .. import dossier, quantize
from ..agreement import Gate, plain
from ..plan import Asked, Plan
from ..recipe import Converted, Traced
from ..report import Report
from ..stand_ins import Opened, open_made
from ..target import Target
from . import agreement, drift, half
from .agreement import UNTRAINED_NOTE, TrackFigures
from .agreement import limits_for as limits_for
from .composed import GRAPHS, Answers, Composed, check_graphs, state_of
from .drift import Film
from .pairs import PairSet, choose
from .proof import write_golden, write_reference
from .reference import PairFeeds, TrackReference

MOST_PAIRS, MOST_UNTRAINED = 64, 32
_OPERATIONS = {name: versions[-1] for name, versions in OPERATIONS.items()}


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """Hold the pairs of a proof and the clips that are followed."""

    calibration: PairFeeds | None
    shown: PairFeeds
    films: tuple[Film, ...]

    def prove(
        self, plan: Plan, folder: Path, traced: Mapping[str, Traced], made: Mapping[str, Converted]
    ) -> tuple[Manifest, Report]:
        """Run the produced files on the pairs and along the clips, judge them, and store the evidence beside them."""
        model, pairs = self.shown.model, self.shown.pairs
        graphs = {n: GraphFile(c.file, n, c.inputs, c.outputs, "graph-only") for n, c in made.items()}
        check_graphs(graphs)
        track = plan.model.spec.track
        assert track is not None
        with step(plan.progress, "ask the model in torch"):
            wanted = model.answers(pairs)
            noise = model.noise_relative(pairs, track.score)
        opened = _opened(plan, folder, made, graphs)
        graphs = {n: replace(g, proof=opened[n].proof, stand_in=opened[n].stand_in) for n, g in graphs.items()}
        composed = Composed(_spec_of(plan, made), graphs, state_of(plan.model.spec), _engines(opened))
        manifest = _manifest(plan, made, composed, self.calibration.pairs if self.calibration else None)
        try:
            with step(plan.progress, "run the produced files", opened["track"].engine.description):
                got = composed.answers(pairs, plan.progress)
                golden = write_golden(folder, composed, plan.target.precision)
            figures = agreement.measure(wanted, got, noise_relative=noise, score=track.score)
            figures = self._followed(plan, manifest, composed, figures)
        finally:
            composed.close()
            _drop_twins(folder, made, opened)
        report, more = self._judged(plan, traced, made, wanted, figures, opened["track"].engine.description)
        where, unplaced = dossier.placed(plan, folder, made, graphs, made["track"].notes)
        report = replace(report, notes=(*report.notes, *unplaced))
        manifest = replace(
            manifest,
            verification={**report.to_dict(), "file": {**_told(made), **_kind(plan), **more}},
            golden=golden,
            reference=write_reference(folder, manifest, pairs, wanted, got, noise),
            placement=where,
        )
        return manifest, report

    def _followed(self, plan: Plan, manifest: Manifest, composed: Composed, figures: TrackFigures) -> TrackFigures:
        """Add what following the clips shows."""
        reference = self.shown.model
        own = replace(manifest, spec=plan.model.spec, graphs=reference.graph_files())
        with step(plan.progress, "follow clips", f"{len(self.films)}"):
            seen = drift.compare((own, reference.engines), (manifest, composed.engines), self.films, plan.progress)
        return replace(figures, drift_iou=seen.iou, auc_model=seen.auc_model, auc_file=seen.auc_file)

    def _judged(
        self,
        plan: Plan,
        traced: Mapping[str, Traced],
        made: Mapping[str, Converted],
        wanted: Answers,
        figures: TrackFigures,
        engine: str,
    ) -> tuple[Report, dict[str, float]]:
        """Hold the figures against the gates, and both graphs against the range of fp16."""
        trained, precision = plan.model.weights.trained, plan.target.precision
        gates = agreement.judge(figures, plan.limits, precision=precision, trained=trained, named=plan.named)
        more: tuple[Gate, ...] = ()
        blamed: tuple[str, ...] = ()
        told: dict[str, float] = {}
        if dossier.computes_in_half(plan):
            with step(plan.progress, "compute in emulated fp16"):
                seen = half.audit(traced, self.shown.model, self.shown.pairs, wanted)
            more = seen.gates(made)
            blamed = seen.told(frozenset(g.name for g in more if not g.passed))
            error = plain(seen.relative_median)
            told = {"relative_error_in_fp16_arithmetic": error} if error is not None else {}
        shown = self.shown.pairs.fingerprint()
        report = Report(plan.model.name, "torch", engine, shown, figures, (*gates, *more), self._notes(plan), blamed)
        return report, told

    def _notes(self, plan: Plan) -> tuple[str, ...]:
        notes = [f"followed {', '.join(film.name for film in self.films)}"]
        if not plan.model.weights.trained:
            notes.append(UNTRAINED_NOTE)
        if self.calibration is not None:
            if len(self.calibration) < quantize.ENOUGH:
                notes.append(
                    f"calibrated on {len(self.calibration)} pairs only; {quantize.ENOUGH} or more give steadier ranges"
                )
            notes.append(quantize.KINDS[plan.target.format.name, plan.target.precision].caution)
        return tuple(note for note in (*notes, dossier.preference(plan)) if note)


def gather(model: ModelDef, target: Target, asked: Asked, progress: Progress | None) -> PairEvidence:
    """Cut the pairs and choose the clips."""
    trained, reference = model.weights.trained, TrackReference(model)
    way = quantize.KINDS.get((target.format.name, target.precision))
    most = asked.most or (MOST_PAIRS if trained else MOST_UNTRAINED)
    with step(progress, "prepare the pairs"):
        calibration = None
        if way is not None and way.calibrated:
            count = asked.most or quantize.ENOUGH
            calibration = choose(model.spec, asked.calib, most=count, split="calibration")
        shown = choose(model.spec, asked.images, most=most, split="verification")
        films = drift.films(asked.images, trained=trained)
    return PairEvidence(PairFeeds(calibration, reference) if calibration else None, PairFeeds(shown, reference), films)


def _opened(
    plan: Plan, folder: Path, made: Mapping[str, Converted], graphs: Mapping[str, GraphFile]
) -> dict[str, Opened]:
    opened: dict[str, Opened] = {}
    try:
        for name in GRAPHS:
            opened[name] = open_made(plan.target.format.name, folder, made[name], graphs[name])
    except BaseException:
        for one in opened.values():
            one.engine.close()
        raise
    return opened


def _engines(opened: Mapping[str, Opened]) -> dict[str, Engine]:
    return {name: one.engine for name, one in opened.items()}


def _drop_twins(folder: Path, made: Mapping[str, Converted], opened: Mapping[str, Opened]) -> None:
    """Take away what was made to run in a file's place, where the file itself ran."""
    for name, converted in made.items():
        if converted.twin and opened[name].stand_in is None:
            (folder / converted.twin).unlink()


def _spec_of(plan: Plan, made: Mapping[str, Converted]) -> Spec:
    """Return the spec as the files want their pictures; both must want the same."""
    kinds = {(one.layout, one.values) for one in made.values()}
    if len(kinds) != 1:
        raise ConversionError(f"The graphs of {plan.model.name} want their pictures in {len(kinds)} ways, not in one.")
    ((layout, values),) = kinds
    return replace(plan.model.spec, image=replace(plan.model.spec.image, layout=layout, values=values))


def _manifest(plan: Plan, made: Mapping[str, Converted], composed: Composed, calibration: PairSet | None) -> Manifest:
    """Return the manifest as far as it is known before the proof: enough to follow a target by it."""
    return Manifest(
        model=plan.model.name,
        spec=composed.spec,
        format=plan.target.format.name,
        precision=plan.target.precision,
        engine=dossier.engine_of(plan, made["track"]),
        graphs=composed.graphs,
        provenance=dossier.provenance(plan, made["track"], calibration.fingerprint() if calibration else None),
        verification={},
        golden={},
        reference={},
        device=plan.target.device.slug if plan.target.device else None,
        state=tuple(composed.state),
        operations=_OPERATIONS,
    )


def _told(made: Mapping[str, Converted]) -> dict[str, Any]:
    """Join what the converters tell of the graphs: under a graph's name where they differ."""
    keys = dict.fromkeys(key for one in made.values() for key in one.notes)
    told: dict[str, Any] = {}
    for key in keys:
        values = {name: one.notes[key] for name, one in made.items() if key in one.notes}
        if len(values) == len(made) and len({str(value) for value in values.values()}) == 1:
            told[key] = next(iter(values.values()))
        else:
            told |= {f"{name}.{key}": value for name, value in values.items()}
    return told


def _kind(plan: Plan) -> dict[str, str]:
    way = quantize.KINDS.get((plan.target.format.name, plan.target.precision))
    return {plan.target.precision: way.name} if way else {}
