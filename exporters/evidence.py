"""Prove what a converter made, and gather the evidence: figures, gates, golden sample, reference, manifest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import BadOutputError, EdgevitError, reason
from edgevit.manifest import GraphFile, Manifest
from edgevit.models import ModelDef
from edgevit.progress import Progress, step
from edgevit.provenance import Provenance

from . import agreement, blame, half, placement, proof, quantize, verify
from .agreement import Figures, Gate
from .blame import Suspect
from .half import HalfFigures
from .pictures import PictureSet, golden_picture
from .recipe import LARGEST_IN_HALF, Converted, Traced
from .reference import Reference
from .report import Report
from .stand_ins import open_made
from .target import Target

_PREPROCESS = {"preprocess": "image/1"}
_POSTPROCESS = {"logits": {"postprocess": "softmax/1"}, "probabilities": {}}

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold what was decided before the conversion: the model, the target, the gates, the pictures.

    ``named`` are the gates that the caller asked for; ``pixels`` the proof's pictures after resize and crop; ``given``
    the parts of the preprocessing that the caller gave against the weights' card.
    """

    model: ModelDef
    target: Target
    limits: Mapping[str, float]
    named: frozenset[str]
    calibration: PictureSet | None
    shown: PictureSet
    pixels: Pixels
    command: str
    given: tuple[str, ...] = ()
    levels: bool = False
    backend: str | None = None
    progress: Progress | None = None
    reference: Reference | None = None


def prove(
    plan: Plan, folder: Path, traced: Mapping[str, Traced], made: Mapping[str, Converted]
) -> tuple[Manifest, Report]:
    """Run the produced file on the pictures, judge it, and store the evidence beside it."""
    main, target = made["main"], plan.target
    spec = replace(plan.model.spec, image=replace(plan.model.spec.image, layout=main.layout, values=main.values))
    graphs = {n: GraphFile(c.file, n, c.inputs, c.outputs, "graph-only") for n, c in made.items()}
    reference = plan.reference or Reference(plan.model)
    with step(plan.progress, "ask the model in torch"):
        wanted = reference.answers(plan.pixels, plan.progress)
        noise = reference.noise_relative(plan.pixels)
    suspect = Suspect(
        target.format.name, target.precision, folder / main.file, traced["main"], plan.model.spec, plan.pixels
    )
    opened = open_made(target.format.name, folder, main, graphs["main"])
    graphs["main"] = replace(graphs["main"], proof=opened.proof, stand_in=opened.stand_in)
    engine = opened.engine
    try:
        with step(plan.progress, "run the produced file", engine.description):
            got = verify.answers(engine, graphs["main"], plan.pixels, spec.image, plan.progress)
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
    figures = agreement.measure(wanted, got, noise_relative=noise, truth=plan.shown.truth)
    trained = plan.model.weights.trained
    gates = agreement.judge(figures, plan.limits, precision=target.precision, trained=trained, named=plan.named)
    seen = _half_figures(plan, traced["main"], wanted)
    more, told = _half_range(seen, main)
    failed = [gate for gate in (*gates, *more) if gate.counted and not gate.passed]
    with step(plan.progress, "look for the layer at fault") if failed else nullcontext():
        # In a file with some layers kept in float32, the first outside may be one of those.
        blamed = blame.of_gates(suspect, failed, None if LARGEST_IN_HALF in main.notes else seen)
    where, unplaced = _placement(plan, folder, made, graphs)
    notes = (*_notes(plan, figures), *unplaced)
    report = Report(
        *(plan.model.name, "torch", engine.description, plan.shown.fingerprint(), figures, (*gates, *more), notes),
        blamed=blamed,
    )
    way = quantize.KINDS.get((target.format.name, target.precision))
    kind = {target.precision: way.name} if way else {}
    manifest = Manifest(
        model=plan.model.name,
        spec=spec,
        format=target.format.name,
        precision=target.precision,
        engine={
            "name": target.format.engine_package,
            "minimum": main.engine_minimum or target.format.engine_minimum,
        },
        graphs=graphs,
        provenance=_provenance(plan, main),
        verification={**report.to_dict(), "file": {**main.notes, **kind, **told}},
        golden=proof.write_golden(folder, sample, *golden, target.precision),
        reference=proof.write_reference(folder, plan.pixels, wanted, got, noise),
        device=target.device.slug if target.device else None,
        operations={**_PREPROCESS, **_POSTPROCESS[spec.output]},
        placement=where,
    )
    return manifest, report


def _placement(
    plan: Plan, folder: Path, made: Mapping[str, Converted], graphs: Mapping[str, GraphFile]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Look where the operators run. A file is proven without that, so what prevents the look is noted."""
    files = {name: (folder / converted.file, graphs[name]) for name, converted in made.items()}
    target = plan.target
    with step(plan.progress, "look where operators run"):
        try:
            found = placement.place_files(
                target.format.name, target.precision, files, device=target.device, notes=made["main"].notes
            )
        except Exception as fault:  # whatever it is, the file is proven all the same
            told = str(fault) if isinstance(fault, EdgevitError) else f"{type(fault).__name__}: {reason(fault)}"
            return {}, (f"where the operators run could not be told: {told}",)
    return placement.summary(found), ()


def _half_figures(plan: Plan, traced: Traced, wanted: npt.NDArray[np.float32]) -> HalfFigures | None:
    """Compute in emulated fp16 where a device does: in fp16 files, and in all of Core ML's but fp32."""
    in_half = plan.target.precision == "fp16" or plan.target.format.name == "coreml"
    if not in_half or plan.target.precision == "fp32":
        return None
    with step(plan.progress, "compute in emulated fp16"):
        return half.audit(traced, plan.pixels, plan.model.spec.image, wanted)


def _half_range(seen: HalfFigures | None, made: Converted) -> tuple[tuple[Gate, ...], dict[str, float]]:
    """Judge that nothing inside leaves the range of fp16."""
    if seen is None:
        return (), {}
    # A converter that kept in float32 what leaves the range tells what is left in fp16.
    gate = replace(seen, peak=made.notes.get(LARGEST_IN_HALF, seen.peak)).gate()
    error = agreement.plain(seen.relative_median)
    return (gate,), {"relative_error_in_fp16_arithmetic": error} if error is not None else {}


def _notes(plan: Plan, figures: Figures) -> tuple[str, ...]:
    notes = verify.remarks(figures, len(plan.shown))
    if not plan.model.weights.trained:
        notes.append("UNTRAINED weights: top-1 agreement and int8 figures are reported, not gated")
    if few := quantize.remark(plan.calibration):
        notes.append(few)
    if plan.calibration is not None:
        shared = len(set(plan.calibration.names) & set(plan.shown.names))
        if shared:
            notes.append(
                f"{shared} of {len(plan.shown)} proof pictures were calibrated on too; give --images for others"
            )
        notes.append(quantize.KINDS[plan.target.format.name, plan.target.precision].caution)
    device = plan.target.device
    if device is not None and device.prefer.formats[0] != plan.target.format.name:
        notes.append(f"{device.name} prefers {device.prefer.formats[0]}; this is {plan.target.format.name}")
    return tuple(note for note in notes if note)


def _provenance(plan: Plan, converted: Converted) -> Provenance:
    return Provenance(
        weights=plan.model.weights,
        code_licence=plan.model.code_licence,
        tools=converted.tools,
        command=plan.command,
        given=plan.given,
        calibration=plan.calibration.fingerprint() if plan.calibration else None,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
