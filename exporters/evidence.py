"""Prove a classifier's file, and gather the evidence: figures, gates, golden sample, reference, manifest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevit.errors import BadOutputError
from edgevit.manifest import GraphFile, Manifest
from edgevit.models import ModelDef
from edgevit.progress import Progress, step

from . import agreement, blame, dossier, half, proof, quantize, verify
from .agreement import Figures, Gate
from .agreement import limits_for as limits_for
from .blame import Suspect
from .half import HalfFigures
from .pictures import PictureSet, golden_picture
from .plan import Asked, Plan
from .recipe import LARGEST_IN_HALF, Converted, Traced
from .reference import Reference
from .report import Report
from .stand_ins import open_made
from .target import Target

_PREPROCESS = {"preprocess": "image/1"}
_POSTPROCESS = {"logits": {"postprocess": "softmax/1"}, "probabilities": {}}

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PictureEvidence:
    """Hold the pictures of a proof; ``pixels`` are those that are shown, after resize and crop."""

    calibration: PictureSet | None
    shown: PictureSet
    pixels: Pixels
    reference: Reference

    def prove(
        self, plan: Plan, folder: Path, traced: Mapping[str, Traced], made: Mapping[str, Converted]
    ) -> tuple[Manifest, Report]:
        """Run the produced file on the pictures, judge it, and store the evidence beside it."""
        main, target = made["main"], plan.target
        spec = replace(plan.model.spec, image=replace(plan.model.spec.image, layout=main.layout, values=main.values))
        graphs = {n: GraphFile(c.file, n, c.inputs, c.outputs, "graph-only") for n, c in made.items()}
        with step(plan.progress, "ask the model in torch"):
            wanted = self.reference.answers(self.pixels, plan.progress)
            noise = self.reference.noise_relative(self.pixels)
        suspect = Suspect(
            target.format.name, target.precision, folder / main.file, traced["main"], plan.model.spec, self.pixels
        )
        opened = open_made(target.format.name, folder, main, graphs["main"])
        graphs["main"] = replace(graphs["main"], proof=opened.proof, stand_in=opened.stand_in)
        engine = opened.engine
        try:
            with step(plan.progress, "run the produced file", engine.description):
                got = verify.answers(engine, graphs["main"], self.pixels, spec.image, plan.progress)
                sample = golden_picture()
                golden = verify.golden_of(engine, graphs["main"], sample, spec.image)
        except BadOutputError as fault:
            if place := blame.outside(suspect):
                raise BadOutputError(f"{str(fault).rstrip('.')}; {place}. Type: --precision fp32") from fault
            raise
        finally:
            engine.close()
            if main.twin and opened.stand_in is None:  # the file itself ran; its twin would prove nothing again
                (folder / main.twin).unlink()
        figures = agreement.measure(wanted, got, noise_relative=noise, truth=self.shown.truth)
        trained = plan.model.weights.trained
        gates = agreement.judge(figures, plan.limits, precision=target.precision, trained=trained, named=plan.named)
        seen = self._half_figures(plan, traced["main"], wanted)
        more, told = _half_range(seen, main)
        failed = [gate for gate in (*gates, *more) if gate.counted and not gate.passed]
        with step(plan.progress, "look for the layer at fault") if failed else nullcontext():
            # In a file with some layers kept in float32, the first outside may be one of those.
            blamed = blame.of_gates(suspect, failed, None if LARGEST_IN_HALF in main.notes else seen)
        where, unplaced = dossier.placed(plan, folder, made, graphs, main.notes)
        notes = (*self._notes(plan, figures), *unplaced)
        report = Report(
            *(plan.model.name, "torch", engine.description, self.shown.fingerprint(), figures, (*gates, *more), notes),
            blamed=blamed,
        )
        way = quantize.KINDS.get((target.format.name, target.precision))
        kind = {target.precision: way.name} if way else {}
        manifest = Manifest(
            model=plan.model.name,
            spec=spec,
            format=target.format.name,
            precision=target.precision,
            engine=dossier.engine_of(plan, main),
            graphs=graphs,
            provenance=dossier.provenance(plan, main, self.calibration.fingerprint() if self.calibration else None),
            verification={**report.to_dict(), "file": {**main.notes, **kind, **told}},
            golden=proof.write_golden(folder, sample, *golden, target.precision),
            reference=proof.write_reference(folder, self.pixels, wanted, got, noise),
            device=target.device.slug if target.device else None,
            operations={**_PREPROCESS, **_POSTPROCESS[spec.output]},
            placement=where,
        )
        return manifest, report

    def _half_figures(self, plan: Plan, traced: Traced, wanted: npt.NDArray[np.float32]) -> HalfFigures | None:
        if not dossier.computes_in_half(plan):
            return None
        with step(plan.progress, "compute in emulated fp16"):
            return half.audit(traced, self.pixels, plan.model.spec.image, wanted)

    def _notes(self, plan: Plan, figures: Figures) -> tuple[str, ...]:
        notes = verify.remarks(figures, len(self.shown))
        if not plan.model.weights.trained:
            notes.append("UNTRAINED weights: top-1 agreement and int8 figures are reported, not gated")
        if few := quantize.remark(self.calibration):
            notes.append(few)
        if self.calibration is not None:
            shared = len(set(self.calibration.names) & set(self.shown.names))
            if shared:
                notes.append(
                    f"{shared} of {len(self.shown)} proof pictures were calibrated on too; give --images for others"
                )
            notes.append(quantize.KINDS[plan.target.format.name, plan.target.precision].caution)
        return tuple(note for note in (*notes, dossier.preference(plan)) if note)


def gather(model: ModelDef, target: Target, asked: Asked, progress: Progress | None) -> PictureEvidence:
    """Choose the pictures, and read those of the proof: one that cannot be read should not cost a conversion."""
    trained = model.weights.trained
    calibration = quantize.calibration_set(
        model.spec, target.format.name, target.precision, asked.calib, trained=trained
    )
    used = len(calibration) if calibration is not None and not asked.images else 0
    shown = verify.choose_pictures(
        model.spec, asked.images or asked.calib, trained=trained, after=used, most=asked.most
    )
    with step(progress, "prepare the pictures", shown.source):
        pixels = np.stack(list(shown.pixels(model.spec.image)))
    return PictureEvidence(calibration, shown, pixels, asked.reference or Reference(model))


def _half_range(seen: HalfFigures | None, made: Converted) -> tuple[tuple[Gate, ...], dict[str, float]]:
    """Judge that nothing inside leaves the range of fp16."""
    if seen is None:
        return (), {}
    # A converter that kept in float32 what leaves the range tells what is left in fp16.
    gate = replace(seen, peak=made.notes.get(LARGEST_IN_HALF, seen.peak)).gate()
    error = agreement.plain(seen.relative_median)
    return (gate,), {"relative_error_in_fp16_arithmetic": error} if error is not None else {}
