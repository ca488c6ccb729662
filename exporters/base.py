"""Export a model: the one recipe for every format. Rewrite, trace once, convert, verify, seal; or refuse.

The recipe loops over the model's graphs. Nothing stands under the final name before it is proven; a refused export
leaves ``<out>.refused/report.json`` and nothing else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgevit.bundle import Bundle, check_out, seal, staging
from edgevit.devices import Device
from edgevit.errors import RefusedError, UnsupportedError, UsageError
from edgevit.formats import check_backend
from edgevit.manifest import Manifest
from edgevit.models import ModelDef, create_model
from edgevit.models.create import size_of
from edgevit.progress import Progress, step
from edgevit.registry import TASK_OF_FAMILY, family_of

from . import EXPORTERS
from .command import called, spelled
from .metadata import native_metadata
from .plan import EVIDENCE, Asked, Evidence, Plan
from .recipe import Converted, Job, Traced
from .reference import Reference
from .report import Report
from .target import check_shape_options, choose_target, default_out
from .trace import trace

_REPORT = "report.json"


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
    uint8_input: bool = False,
    backend: str | None = None,
    gates: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    num_classes: int | None = None,
    labels: Sequence[str] | str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int | None = None,
    force: bool = False,
    keep: bool = False,
    most: int | None = None,
    reference: Reference | None = None,
) -> Bundle:
    """Export a model to one format, prove the file, and return the sealed bundle.

    ``format`` or ``device`` must be given; an explicit format or precision wins over the device's. ``images`` are the
    pictures of the proof (``most``, if that is said), ``calib`` those of int8. With ``uint8_input`` the file takes a
    camera's grey levels and normalises by itself. A ``reference`` answers in the model's place: whoever exports one
    model many times has one that remembers. Raises ``RefusedError`` when the file falls short of a gate.
    """
    target = choose_target(format, device, precision, opset)
    name = model_or_name if isinstance(model_or_name, str) else model_or_name.name
    of_family = TASK_OF_FAMILY.get(family_of(name), "classify")
    task = of_family if isinstance(model_or_name, str) else model_or_name.spec.task
    proving = EVIDENCE.load(task)
    limits = proving.limits_for(target.precision, gates)
    check_shape_options(target.format, batch, dynamic, opset)
    check_backend(target.format, backend)
    if task == "track" and (batch != 1 or dynamic or uint8_input):
        raise UnsupportedError(
            f"{name} looks at one picture at a time, which its runtime cuts and normalises. "
            "Leave --batch, --dynamic and --uint8-input out."
        )
    place = Path(out) if out is not None else Path(default_out(name, target, backend))
    check_out(place, force=force)
    of_name = {"weights": weights, "seed": seed, "num_classes": num_classes, "labels": labels, "mean": mean, "std": std}
    if not isinstance(model_or_name, str):
        model = _own(model_or_name, imgsz, given=of_name)
    else:
        with step(progress, "create the model", name):
            options = {**of_name, "seed": seed or 0}
            model = create_model(name, imgsz=imgsz, progress=progress, **options)  # type: ignore[arg-type]
    evidence: Evidence = proving.gather(model, target, Asked(calib, images, most, reference), progress)
    tell = spelled if isinstance(model_or_name, str) else called
    command = tell(
        name,
        {"format": target.format.name, "device": target.device.slug if target.device else None},
        {"precision": target.precision, **of_name, "calib": calib, "images": images, "imgsz": imgsz, "opset": opset},
        {"batch": batch if batch != 1 else None, "dynamic": dynamic, "uint8_input": uint8_input, "backend": backend},
        {"gates": gates},
    )
    given = tuple(n for n in ("mean", "std") if of_name[n] is not None)
    named = frozenset(gates or ())
    plan = Plan(model, target, limits, named, command, given, uint8_input, backend, progress)
    with staging(place, force=force) as folder:
        traced, made = _convert(plan, evidence, folder, batch=batch, dynamic=dynamic)
        manifest, report = evidence.prove(plan, folder, traced, made)
        if not report.passed:
            raise _refusal(place, folder, manifest, report, keep=keep)
        with step(progress, "seal the bundle", str(place)):
            return seal(folder, manifest, place, force=force)


def _own(model: ModelDef, imgsz: int | tuple[int, int] | None, given: Mapping[str, object]) -> ModelDef:
    """Take the caller's model as it is; what belongs to a name has nothing to say here."""
    asked = [name for name, value in given.items() if value is not None]
    if asked:
        raise UsageError(f"{', '.join(asked)} belongs to a model's name; this ModelDef has its own. Leave it out.")
    size = size_of(imgsz)
    return model.at_size(size) if size else model


def _convert(
    plan: Plan, evidence: Evidence, folder: Path, *, batch: int, dynamic: bool
) -> tuple[Mapping[str, Traced], Mapping[str, Converted]]:
    """Trace and convert every graph of the model: one into the folder, several into a folder of its own each."""
    image = plan.model.spec.image
    # Core ML's files take a picture and normalise in any case; their exporter sees to it.
    inside = image if plan.levels and plan.target.format.name != "coreml" else None
    job = Job(
        target=plan.target.format,
        precision=plan.target.precision,
        spec=replace(plan.model.spec, image=replace(image, values="levels" if inside else "normalised")),
        folder=folder,
        batch=batch,
        dynamic=dynamic,
        opset=plan.target.opset,
        calibration=evidence.calibration,
        shown=evidence.shown,
        model=plan.model.name,
        metadata=native_metadata(plan.model),
        progress=plan.progress,
        device=plan.target.device,
        levels=inside is not None,
        backend=plan.backend,
    )
    exporter = EXPORTERS.load(plan.target.format.name)
    graphs = plan.model.graphs
    traced, made = {}, {}
    for name, graph in graphs.items():
        with step(plan.progress, "rewrite and trace", name):
            traced[name] = trace(name, graph, plan.target.format.name, batch=batch, dynamic=dynamic, inside=inside)
        own = folder / name if len(graphs) > 1 else folder
        own.mkdir(exist_ok=True)
        converted = exporter.convert(traced[name], replace(job, folder=own))
        converted = replace(converted, values="levels") if inside else converted
        made[name] = _within(name, converted) if len(graphs) > 1 else converted
    return traced, made


def _within(folder: str, made: Converted) -> Converted:
    """Return the same with its files in a folder of the bundle, so that no converter needs other names for them."""
    return replace(made, file=f"{folder}/{made.file}", twin=f"{folder}/{made.twin}" if made.twin else None)


def _refusal(place: Path, folder: Path, manifest: Manifest, report: Report, *, keep: bool) -> RefusedError:
    """Leave the report (and, if asked, the files) beside the place where the bundle would have been."""
    refused = _free_name(place.with_name(place.name + ".refused"))
    refused.mkdir(parents=True)
    if keep:
        shutil.copytree(folder, refused, dirs_exist_ok=True)
    told = {"model": manifest.model, "format": manifest.format, "precision": manifest.precision, **report.to_dict()}
    (refused / _REPORT).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return RefusedError(
        f"{manifest.model} as {manifest.format} {manifest.precision} is refused: {'; '.join(report.failures())}. "
        f"Nothing was sealed; the report is in {refused / _REPORT}."
    )


def _free_name(wanted: Path) -> Path:
    """Return the first name that is free, or holds an older report of ours, which goes."""
    names = [wanted, *(wanted.with_name(f"{wanted.name}-{n}") for n in range(2, 100))]
    for name in names:
        if (name / _REPORT).is_file() and not name.is_symlink():
            shutil.rmtree(name)
        if not name.exists():
            return name
    raise UsageError(f"{wanted} and its {len(names)} next names are taken. Choose another --out.")
