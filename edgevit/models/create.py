"""Create a model by name: blueprint, weights, contract. This is the one road from a name to a ModelDef."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevit.errors import SpecError, UsageError, missing
from edgevit.progress import Progress, Step
from edgevit.provenance import WeightsRecord
from edgevit.registry import MODELS, family_of
from edgevit.spec import ImageSpec, Spec

from . import checkpoints
from .blueprint import Blueprint
from .definition import ModelDef
from .hub import hub_file
from .weights import LocalWeights, WeightChoice, choose, fetch, read

_MOST_LABELS_BYTES = 4 << 20
_OWN = ("file", "url")
_TIMM_ROAD = "mobilevit_s"
"""Any name of timm's classifiers: it leads to the module that builds ``timm/<name>`` too."""


def create_model(
    name: str,
    weights: str | Path | None = None,
    seed: int = 0,
    num_classes: int | None = None,
    labels: Sequence[str] | str | Path | None = None,
    *,
    imgsz: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> ModelDef:
    """Create a model and fill it with weights.

    ``weights``: None (shipped ones, else the hub's), ``shipped``, ``hub``, a file, an https URL ending in
    ``#sha256=...``, or ``random`` (seeded, every branch alive, marked UNTRAINED). ``labels``: names, or a file
    with one a line. Your own weights (a file, an address) with ``num_classes`` and no labels get ``class 0``,
    ``class 1`` and so on: as many classes as the published weights have need not be the same ones.
    ``mean`` and ``std`` (in 0..1) are those of your own training, where they differ from the published weights'.
    """
    names = read_labels(labels)
    classes = count_classes(num_classes, names)
    plan = blueprint_of(name, classes, size_of(imgsz))
    choice = choose(weights, name=name)
    if choice.kind in _OWN and num_classes and not names:
        plan = _nameless(plan)
    record = _fill(plan, choice, seed=seed, progress=progress)
    spec = Spec(
        task=plan.task,
        image=_normalised(plan.image, mean, std),
        labels=names or plan.labels,
        label_ids=plan.label_ids if not names or names == plan.labels else (),
        output="logits" if plan.track is None else "box",
        topk=max(1, min(5, len(plan.labels))),
        notes=plan.notes,
        track=plan.track,
    )
    return ModelDef(name, plan.module.eval(), spec, record, plan.code_licence)


def blueprint_of(name: str, num_classes: int | None = None, size_hw: tuple[int, int] | None = None) -> Blueprint:
    """Build the untrained module of a name; ``timm/<name>`` and typing errors go to timm's side."""
    try:
        module = MODELS.load(name if name in MODELS else _TIMM_ROAD)
    except ModuleNotFoundError as exc:
        if exc.name != "timm":
            raise
        raise missing("timm", f"Building {name}", "models") from exc
    plan: Blueprint = module.blueprint(name, num_classes=num_classes, size_hw=size_hw)
    return plan


def describe(name: str) -> dict[str, Any]:
    """Return the facts of a model by name, without its weights."""
    plan = blueprint_of(name)
    spec = Spec(plan.task, plan.image, output="logits" if plan.track is None else "box", track=plan.track).to_dict()
    told = {"classes": len(plan.labels)} if plan.track is None else {"track": spec["track"]}
    return {
        "model": name,
        "family": family_of(name.removeprefix("timm/")),
        "task": plan.task,
        "parameters": sum(p.numel() for p in plan.module.parameters()),
        **told,
        "input": {k: v for k, v in spec["image"].items() if k != "layout"},
        "code_licence": plan.code_licence,
        "weights_licence": plan.weights_licence,
        "published_weights": plan.hub.get("hf_hub_id") or plan.hub.get("url"),
        "notes": list(plan.notes),
    }


def _nameless(plan: Blueprint) -> Blueprint:
    return replace(plan, labels=tuple(f"class {i}" for i in range(len(plan.labels))), label_ids=())


def _fill(plan: Blueprint, choice: WeightChoice, *, seed: int, progress: Progress | None) -> WeightsRecord:
    """Put weights into the module, and say which."""
    if choice.kind == "random":
        plan.enliven(plan.module, input_size=(3, *plan.image.size_hw), seed=seed)
        return WeightsRecord(f"random (seed {seed})", trained=False, licence="none (random numbers)")
    told = (lambda done, total: progress(Step("fetch the weights", plan.name, done, total))) if progress else None
    local = fetch(choice, name=plan.name, hub=hub_file(plan.hub) if plan.hub else None, progress=told)
    assert local.path is not None  # only random ones have no file
    checkpoints.load(read(local.path), plan.module, model_name=plan.name.removeprefix("timm/").split(".")[0])
    return _record(plan, local)


def _record(plan: Blueprint, local: LocalWeights) -> WeightsRecord:
    """Say where the weights are from. The licence of the published ones is known, a file's or an address's is not."""
    known = local.kind in ("shipped", "hub")
    return WeightsRecord(
        source=local.kind,
        trained=True,
        sha256=local.sha256,
        licence=plan.weights_licence if known else "unknown (the owner's)",
        url=local.url or None,
        note=local.source,
    )


def _normalised(image: ImageSpec, mean: Sequence[float] | None, std: Sequence[float] | None) -> ImageSpec:
    image = replace(image, mean=_triple("mean", mean)) if mean is not None else image
    return replace(image, std=_triple("std", std)) if std is not None else image


def _triple(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) != 3 or any(not 0 <= float(v) <= 1 for v in values):
        raise SpecError(f"{name} must be three numbers from 0 to 1 (grey levels divided by 255), not {list(values)}.")
    return float(values[0]), float(values[1]), float(values[2])


def size_of(imgsz: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Read a size: one number is a square, two are height and width."""
    if imgsz is None:
        return None
    pair = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz)
    if len(pair) != 2 or any(not 8 <= int(n) <= 4096 for n in pair):
        raise UsageError(f"imgsz must be one or two whole numbers from 8 to 4096 (height, width), not {imgsz!r}.")
    return int(pair[0]), int(pair[1])


def count_classes(num_classes: int | None, names: tuple[str, ...]) -> int | None:
    """Return the number of classes that was asked for, by number or by names."""
    if num_classes is not None and not 2 <= num_classes <= 1_000_000:
        raise UsageError(f"num_classes must be from 2 to 1,000,000, not {num_classes}.")
    if names and num_classes not in (None, len(names)):
        raise UsageError(f"There are {len(names)} labels for {num_classes} classes; they must be as many.")
    return num_classes or len(names) or None


def read_labels(labels: Sequence[str] | str | Path | None) -> tuple[str, ...]:
    """Return the class names: as given, or one a line of a UTF-8 text file."""
    if labels is None:
        return ()
    if not isinstance(labels, (str, Path)):
        names = tuple(str(label).strip() for label in labels)
    else:
        names = _label_lines(Path(labels))
    if len(names) < 2 or not all(names):
        raise UsageError(f"Labels must be two or more names, none of them empty; there are {len(names)}.")
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"The label '{doubled}' stands twice; every class needs a name of its own.")
    return names


def _label_lines(path: Path) -> tuple[str, ...]:
    try:
        if path.stat().st_size > _MOST_LABELS_BYTES:
            raise UsageError(f"{path} is larger than {_MOST_LABELS_BYTES >> 20} MiB; expected one class name a line.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as exc:
        raise UsageError(f"The labels file {path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"The labels file {path} is not UTF-8 text; expected one class name a line.") from exc
    return tuple(line.strip() for line in lines if line.strip())
