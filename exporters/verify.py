"""Run a produced file through the runtime's engine, compare it with the model, and say whether it is right.

It needs no torch by itself: without the model at hand a bundle is held against what was stored at its export. A random
model is not built again for that, its stored reference is all there is; only to name a layer its seed is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle, open_bundle, sha256_of
from edgevit.errors import EdgevitError, missing
from edgevit.kernels import normalise, prepare
from edgevit.manifest import GraphFile
from edgevit.progress import Progress, Step, silent
from edgevit.registry import door
from edgevit.runtime.engines import Engine, run_batch
from edgevit.scenes import shapes
from edgevit.spec import ImageSpec, Spec

from . import agreement
from .agreement import Figures, Gate
from .pictures import PictureSet, built_in, from_folder
from .proof import TOLERANCE, read_arrays
from .report import Report
from .stand_ins import open_file

if TYPE_CHECKING:
    from .reference import Reference

MOST_PICTURES = 128
MOST_UNTRAINED = 64
"""Random weights have no top-1 agreement to measure, and the median error settles with fewer."""
MOST_RENDERS = 512
"""Renders whose class is known tell accuracy too, so there are more of them: they cost milliseconds."""
FEW_PICTURES = 50
_OPEN_TO_THE_LAYER = ("coreml",)
"""Formats whose programs can be looked into, so that a wrong one is told by its layer."""
_REBUILT = "edgevit.exporters.reference:rebuilt"
_MODEL = "edgevit.exporters.reference:of_bundle"
_TRACKER = "edgevit.exporters.trackers.verify:verify_tracker"
DYNAMIC_ROWS = 3
"""A file whose batch may vary is proven on batches of three (and on one by its golden sample)."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


def answers(
    engine: Engine, graph: GraphFile, pixels: Pixels, image: ImageSpec, progress: Progress | None = None
) -> Tensor:
    """Run pixels (N, h, w, 3) through a file and return (N, classes)."""
    tell = progress or silent
    size = DYNAMIC_ROWS if graph.inputs[0].shape[0] == -1 else graph.inputs[0].shape[0]
    rows = []
    for start in range(0, len(pixels), size):
        batch = np.concatenate([normalise(p, image) for p in pixels[start : start + size]])
        rows.append(run_batch(engine, graph, batch))
        tell(Step("run the produced file", done=min(start + size, len(pixels)), total=len(pixels)))
    return np.concatenate(rows)


def choose_pictures(
    spec: Spec, folder: str | Path | None, *, trained: bool, after: int = 0, most: int | None = None
) -> PictureSet:
    """Take the pictures of a proof, ``most`` if that is said, from a folder (after the first ``after``), or render."""
    own = trained and spec.labels == shapes.LABELS and folder is None
    count = most or (MOST_RENDERS if own else MOST_PICTURES if trained else MOST_UNTRAINED)
    if folder is not None:
        return from_folder(folder, most=count, after=after)
    return built_in(spec, most=count, split="verification")


def golden_of(engine: Engine, graph: GraphFile, picture: Pixels, image: ImageSpec) -> tuple[npt.NDArray[Any], Tensor]:
    """Return the input tensor of a picture and the file's answer to it."""
    tensor = prepare(picture, image, color="rgb")
    return tensor, run_batch(engine, graph, tensor)


def verify(
    bundle: Bundle | str | Path,
    *,
    images: str | Path | None = None,
    golden: bool = False,
    weights: str | None = None,
    gates: Mapping[str, float] | None = None,
    ignore_checksums: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prove a bundle again, by the gates it was sealed with unless others are given.

    ``golden`` asks for its own sample only, which needs neither torch nor pictures. ``weights`` names the weights that
    the bundle was made of, to compare with the model in torch; shipped ones are found without being named. With
    ``ignore_checksums`` a file that was changed is run all the same, to see what the change does.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle, check=not ignore_checksums)
    changed = _changed(opened) if ignore_checksums else ()
    if opened.manifest.task == "track":
        proven: Report = door(_TRACKER)(opened, changed, images, golden, weights, gates, progress)
        return proven
    judge = _Judge(opened, gates, changed)
    graph = opened.manifest.graphs["main"]
    engine = open_file(opened.manifest.format, opened.graph_file(), graph).engine
    try:
        if golden:
            return _verify_golden(judge, engine, graph)
        model, why_not = model_of(opened, weights, _MODEL)
        if model is None:
            notes = [why_not] + (
                ["--images was not used: only the model could answer on other pictures"] if images else []
            )
            return _verify_stored(judge, engine, graph, notes, progress)
        return _verify_with_model(judge, engine, graph, model, images, progress)
    finally:
        engine.close()


def _changed(bundle: Bundle) -> tuple[str, ...]:
    """Name the files that are not the sealed ones: the other gates pass where a change is small."""
    files = bundle.manifest.files.items()
    return tuple(name for name, record in files if sha256_of(bundle.file(name)) != record.sha256)


def seals(changed: tuple[str, ...]) -> tuple[Gate, ...]:
    """Return the gate that changed files do not pass, if there are some."""
    count = float(len(changed))
    return (Gate("files that are not the sealed ones", 0.0, count, False, counted=True),) if changed else ()


class _Judge:
    """Hold a bundle against its gates: those it was sealed with, unless the caller names others."""

    def __init__(self, bundle: Bundle, gates: Mapping[str, float] | None, changed: tuple[str, ...] = ()) -> None:
        self.bundle = bundle
        self.changed = changed
        self.spec = bundle.manifest.spec
        sealed = bundle.manifest.verification.get("gates") or []
        kept = {g["name"]: g for g in sealed if g.get("name") in ("relative", "top1")}
        own = {name: float(g["asked"]) for name, g in kept.items() if isinstance(g.get("asked"), int | float)}
        # What counts on UNTRAINED weights although it would not by itself was asked for at the export.
        asked = () if bundle.manifest.trained else (name for name, g in kept.items() if g.get("counted") is True)
        self.given = frozenset(gates or ())
        self.named = self.given.union(asked)
        self.limits = agreement.limits_for(bundle.manifest.precision, {**own, **(gates or {})})

    def _limits_on_few(self, share: float) -> dict[str, float]:
        """Leave top-1 out, for which a handful is no measure, unless it was named; a sealed file is held to its own."""
        limits = dict(self.limits)
        if "top1" not in self.named:
            limits.pop("top1", None)
        elif "top1" not in self.given:
            limits["top1"] = min(share, limits["top1"])
        return limits

    def seals(self) -> tuple[Gate, ...]:
        """Return the gate that changed files do not pass, if there are some."""
        return seals(self.changed)

    def report(
        self,
        compared_with: str,
        engine: Engine,
        pictures: Mapping[str, Any],
        figures: Figures,
        notes: list[str],
        *more: Gate,
        few: float | None = None,
    ) -> Report:
        """Judge the figures; ``few`` is the share of top-1 that the file had at its export on a handful of pictures."""
        m = self.bundle.manifest
        limits = self.limits if few is None else self._limits_on_few(few)
        gates = agreement.judge(figures, limits, precision=m.precision, trained=m.trained, named=self.named)
        remarks = notes if m.trained else [*notes, "UNTRAINED weights: top-1 agreement and int8 figures are not gated"]
        remarks = [*remarks, *(f"'{name}' is not the file that was sealed" for name in self.changed)]
        every = (*gates, *more, *self.seals())
        return Report(
            str(self.bundle.path), compared_with, engine.description, pictures, figures, every, tuple(remarks)
        )


def _verify_golden(judge: _Judge, engine: Engine, graph: GraphFile) -> Report:
    bundle = judge.bundle
    picture, tensor, output = read_arrays(bundle, "golden", ("picture", "input", "output"))
    manifest = bundle.manifest
    image = manifest.spec.image
    made = prepare(picture, image, color="rgb")
    levels = levels_apart(made, tensor, image)
    figures = agreement.measure(output, run_batch(engine, graph, tensor), noise_relative=0.0)
    tolerance = float(manifest.golden["relative_tolerance"])
    value = figures.relative_median
    checks = (
        Gate("input, in grey levels", 1.0, levels, levels <= 1.0, True),
        Gate("relative", tolerance, value, value <= tolerance, True),
        *judge.seals(),
    )
    sample = {"source": "the bundle's own golden sample", "count": 1}
    return Report(str(bundle.path), "the golden output", engine.description, sample, figures, checks)


def levels_apart(one: npt.NDArray[Any], other: npt.NDArray[Any], image: ImageSpec) -> float:
    """Return how far two input tensors are apart, in grey levels."""
    apart = np.abs(one.astype(np.float32) - other.astype(np.float32))
    if image.values == "levels":
        return float(apart.max())
    std = np.asarray(image.std, np.float32).reshape((1, 3, 1, 1) if image.layout == "nchw" else (1, 1, 1, 3))
    return float((apart * std).max() * 255)


def _verify_stored(
    judge: _Judge, engine: Engine, graph: GraphFile, notes: list[str], progress: Progress | None
) -> Report:
    """Compare with torch's stored answers, and with the file's own at export: few pictures, but exact ones."""
    manifest = judge.bundle.manifest
    pixels, wanted, then = read_arrays(judge.bundle, "reference", ("pixels", "outputs", "answers"))
    now = answers(engine, graph, pixels, manifest.spec.image, progress)
    figures = agreement.measure(wanted, now, noise_relative=float(manifest.reference["noise_relative"]))
    drift = float(np.median(agreement.relative_errors(then, now)))
    limit = TOLERANCE[manifest.precision]
    share = agreement.measure(wanted, then, noise_relative=0.0).top1
    same = Gate("relative to its answers at export", limit, drift, drift <= limit, counted=True)
    stored = {"source": "the bundle's own reference", "count": len(pixels)}
    report = judge.report("the stored reference", engine, stored, figures, notes, same, few=share)
    return _with_culprit(judge.bundle, report, pixels, lambda: door(_REBUILT)(judge.bundle, pixels, wanted))


def _with_culprit(bundle: Bundle, report: Report, pixels: Pixels, model: Callable[[], Reference]) -> Report:
    """Add to a failed report which layer goes wrong, or why none can be named, where the format can be looked into."""
    if report.passed or bundle.manifest.format not in _OPEN_TO_THE_LAYER:
        return report
    try:
        blamed: str = door("edgevit.exporters.culprit:culprit")(bundle, model(), pixels)
    except ImportError as exc:
        blamed = f"no layer can be named: {missing(str(exc.name), 'Looking into the model', 'models')}"
    except EdgevitError as exc:
        blamed = f"no layer can be named: {exc}"
    return replace(report, notes=(*report.notes, blamed))


def _verify_with_model(
    judge: _Judge,
    engine: Engine,
    graph: GraphFile,
    model: Reference,
    images: str | Path | None,
    progress: Progress | None,
) -> Report:
    image = judge.spec.image
    pictures = choose_pictures(judge.spec, images, trained=judge.bundle.manifest.trained)
    pixels = np.stack(list(pictures.pixels(image)))
    outputs = answers(engine, graph, pixels, image, progress)
    noise = model.noise_relative(pixels)
    figures = agreement.measure(model.answers(pixels, progress), outputs, noise_relative=noise, truth=pictures.truth)
    wrong = model.differences(image)
    card = Gate("differences from the card's preprocessing", 0.0, float(len(wrong)), not wrong, counted=True)
    shown = {"source": pictures.source, "count": len(pictures)}
    notes = [*remarks(figures, len(pictures)), *wrong]
    report = judge.report("torch", engine, shown, figures, notes, card)
    return _with_culprit(judge.bundle, report, pixels, lambda: model)


def remarks(figures: Figures, count: int) -> list[str]:
    """Say what weakens a proof."""
    notes = []
    if count < FEW_PICTURES:
        notes.append(f"proven on {count} pictures only; {FEW_PICTURES} or more tell more (--images DIR)")
    if figures.classes_seen == 1 and count > 1:
        notes.append(
            "the model gave all pictures one class, so top-1 agreement says little; give others (--images DIR)"
        )
    return notes


def model_of(bundle: Bundle, weights: str | None, builder: str) -> tuple[Any, str]:
    """Return the model in torch if torch and the weights are here, else why not (an error if asked for by name)."""
    try:
        model = door(builder)(bundle, weights)
    except ImportError as exc:
        if weights is not None:
            raise missing(str(exc.name), "Comparing with the model in torch", "models") from exc
        return None, "torch is not here, so the answers stored at export are the measure"
    except EdgevitError as exc:
        if weights is not None:
            raise
        return None, f"the answers stored at export are the measure: {exc}"
    return model, "the weights are not at hand (--weights W), so the answers stored at export are the measure"
