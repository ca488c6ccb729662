"""Export a model: the one recipe for every format. Rewrite, trace once, convert, verify, seal; or refuse.

The recipe loops over the model's graphs. Nothing stands under the final name before it is proven; a refused export
leaves ``<out>.refused/report.json`` and nothing else.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgevit.bundle import Bundle, check_out, seal, staging
from edgevit.devices import Device
from edgevit.errors import RefusedError, UsageError
from edgevit.manifest import GraphFile, Manifest
from edgevit.models import ModelDef, create_model
from edgevit.models.create import size_of
from edgevit.progress import Progress, step
from edgevit.provenance import Provenance

from . import EXPORTERS, agreement, proof, quantize, verify
from .metadata import native_metadata
from .pictures import PictureSet, built_in
from .recipe import Converted, Job
from .reference import Reference
from .report import Report
from .target import Target, check_shape_options, choose_target, default_out
from .trace import trace

_OPERATIONS = {"preprocess": "image/1", "postprocess": "softmax/1"}


def export(
    model_or_name: ModelDef | str,
    *,
    format: str | None = None,
    device: str | Device | None = None,
    precision: str | None = None,
    weights: str | Path | None = None,
    calib: str | Path | None = None,
    images: str | Path | None = None,
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    dynamic: bool = False,
    opset: int | None = None,
    gates: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    num_classes: int | None = None,
    labels: Sequence[str] | str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    force: bool = False,
    keep: bool = False,
) -> Bundle:
    """Export a model to one format, prove the file, and return the sealed bundle.

    ``format`` or ``device`` must be given; an explicit format or precision wins over the device's. ``images`` are the
    pictures of the proof, ``calib`` those of int8. Raises ``RefusedError`` when the file falls short of a gate.
    """
    target = choose_target(format, device, precision, opset)
    limits = agreement.limits_for(target.precision, gates)
    check_shape_options(target.format, batch, dynamic, opset)
    name = model_or_name if isinstance(model_or_name, str) else model_or_name.name
    place = Path(out) if out is not None else Path(default_out(name, target))
    check_out(place, force=force)
    options = {"num_classes": num_classes, "labels": labels, "mean": mean, "std": std}
    if not isinstance(model_or_name, str):
        model = _own(model_or_name, imgsz, given={"weights": weights, **options})
    else:
        with step(progress, "create the model", name):
            model = create_model(name, weights, seed, imgsz=imgsz, progress=progress, **options)  # type: ignore[arg-type]
    calibration = None
    if target.precision == "int8":
        calibration = quantize.calibration_set(model.spec, target.format.name, calib, trained=model.weights.trained)
    shown = verify.choose_pictures(model.spec, images or calib, trained=model.weights.trained)
    with staging(place, force=force) as folder:
        made = _convert(model, target, folder, calibration, batch=batch, dynamic=dynamic, progress=progress)
        manifest, report = _prove(model, target, folder, made, shown, calibration, limits, progress)
        if not report.passed:
            raise _refusal(place, folder, manifest, report, keep=keep)
        with step(progress, "seal the bundle", str(place)):
            return seal(folder, manifest, place, force=force)


def _own(model: ModelDef, imgsz: int | tuple[int, int] | None, given: Mapping[str, object]) -> ModelDef:
    """Take the caller's model as it is; what belongs to a name has nothing to say here."""
    if any(value is not None for value in given.values()):
        raise UsageError(f"{', '.join(given)} belong to a model's name; this ModelDef has its own.")
    size = size_of(imgsz)
    return model.at_size(size) if size else model


def _convert(
    model: ModelDef,
    target: Target,
    folder: Path,
    calibration: PictureSet | None,
    *,
    batch: int,
    dynamic: bool,
    progress: Progress | None,
) -> dict[str, Converted]:
    made = {}
    for name, graph in model.graphs.items():
        with step(progress, "rewrite and trace", name):
            traced = trace(name, graph, batch=batch, dynamic=dynamic)
        job = Job(
            target=target.format,
            precision=target.precision,
            spec=model.spec,
            folder=folder,
            batch=batch,
            dynamic=dynamic,
            opset=target.opset,
            calibration=calibration,
            model=model.name,
            metadata=native_metadata(model),
            progress=progress,
        )
        made[name] = EXPORTERS.load(target.format.name).convert(traced, job)
    return made


def _prove(
    model: ModelDef,
    target: Target,
    folder: Path,
    made: Mapping[str, Converted],
    shown: PictureSet,
    calibration: PictureSet | None,
    limits: Mapping[str, float],
    progress: Progress | None,
) -> tuple[Manifest, Report]:
    """Run the produced file on the pictures, judge it, and store the evidence beside it."""
    spec = replace(model.spec, image=replace(model.spec.image, layout=made["main"].layout))
    image = spec.image
    graphs = {n: GraphFile(c.file, n, c.inputs, c.outputs, "executed") for n, c in made.items()}
    graph = graphs["main"]
    with step(progress, "prepare the pictures", shown.source):
        pixels = np.stack(list(shown.pixels(image)))
    reference = Reference(model)
    with step(progress, "ask the model in torch"):
        wanted = reference.answers(pixels, progress)
        noise = reference.noise_relative(pixels)
    engine = verify.open_engine(target.format.name, folder / graph.file, graph)
    try:
        with step(progress, "run the produced file", engine.description):
            got = verify.answers(engine, graph, pixels, image, progress)
            sample = built_in(model.spec, most=1, split="demo").readers[0]()
            golden = verify.golden_of(engine, graph, sample, image)
    finally:
        engine.close()
    figures = agreement.measure(wanted, got, noise_relative=noise, truth=shown.truth)
    gates = agreement.judge(figures, limits, precision=target.precision, trained=model.weights.trained)
    notes = _notes(model, target, calibration, shown)
    report = Report(model.name, "torch", engine.description, shown.fingerprint(), figures, gates, notes)
    converted = made["main"]
    manifest = Manifest(
        model=model.name,
        spec=spec,
        format=target.format.name,
        precision=target.precision,
        engine={"name": target.format.engine_package, "minimum": target.format.engine_minimum},
        graphs=graphs,
        provenance=_provenance(model, converted, calibration),
        verification={**report.to_dict(), "file": dict(converted.notes)},
        golden=proof.write_golden(folder, sample, *golden, target.precision),
        reference=proof.write_reference(folder, pixels, wanted, noise),
        device=target.device.slug if target.device else None,
        operations=_OPERATIONS,
    )
    return manifest, report


def _notes(model: ModelDef, target: Target, calibration: PictureSet | None, shown: PictureSet) -> tuple[str, ...]:
    notes = []
    if not model.weights.trained:
        notes.append("UNTRAINED weights: top-1 agreement and int8 figures are reported, not gated")
    if few := quantize.remark(calibration):
        notes.append(few)
    if calibration is not None and calibration.source == shown.source:
        notes.append("verified on the pictures it was calibrated on; give --images for others")
    preferred = target.device.prefer.formats[0] if target.device else target.format.name
    if preferred != target.format.name and target.device:
        notes.append(f"{target.device.name} prefers {preferred}; this is {target.format.name}")
    return tuple(notes)


def _provenance(model: ModelDef, converted: Converted, calibration: PictureSet | None) -> Provenance:
    return Provenance(
        weights=model.weights,
        code_licence=model.code_licence,
        tools=converted.tools,
        command=shlex.join(["edgevit", *sys.argv[1:]])
        if Path(sys.argv[0]).stem == "edgevit"
        else "edgevit.export(...)",
        calibration=calibration.fingerprint() if calibration else None,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _refusal(place: Path, folder: Path, manifest: Manifest, report: Report, *, keep: bool) -> RefusedError:
    """Leave the report (and, if asked, the files) beside the place where the bundle would have been."""
    refused = place.with_name(place.name + ".refused")
    shutil.rmtree(refused, ignore_errors=True)
    refused.mkdir(parents=True)
    if keep:
        shutil.copytree(folder, refused, dirs_exist_ok=True)
    text = json.dumps(
        {"model": manifest.model, "format": manifest.format, "precision": manifest.precision, **report.to_dict()},
        indent=2,
    )
    (refused / "report.json").write_text(text + "\n", encoding="utf-8")
    return RefusedError(
        f"{manifest.model} as {manifest.format} {manifest.precision} is refused: {'; '.join(report.failures())}. "
        f"Nothing was sealed; the report is in {refused / 'report.json'}."
    )
