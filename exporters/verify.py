"""Run a produced file through the runtime's engine, compare it with the model, and say whether it is right.

This is the only exporter file that opens the runtime. It needs no torch by itself: without the model at hand a bundle
is held against the reference that was stored at export. A random model is never built again: its stored reference is
all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle, open_bundle
from edgevit.errors import missing
from edgevit.formats import find_format
from edgevit.kernels import normalise, prepare
from edgevit.manifest import GraphFile
from edgevit.progress import Progress, Step, silent
from edgevit.registry import door
from edgevit.runtime.engines import Engine, EngineOptions, load_engine, run_batch
from edgevit.scenes import shapes
from edgevit.spec import ImageSpec, Spec

from . import agreement
from .agreement import Figures, Gate
from .pictures import PictureSet, built_in, from_folder
from .proof import read_arrays
from .report import Report

if TYPE_CHECKING:
    from .reference import Reference

MOST_PICTURES = 128
MOST_UNTRAINED = 48
"""Random weights have no top-1 agreement to measure, and the median error settles with fewer."""
MOST_RENDERS = 512
"""Renders whose class is known tell accuracy too, so there are more of them: they cost milliseconds."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


def open_engine(format_name: str, path: Path, graph: GraphFile) -> Engine:
    """Open a file as verification does: exact fp32 arithmetic wherever the engine has a choice."""
    return load_engine(find_format(format_name).engine, path, graph, EngineOptions())


def answers(
    engine: Engine, graph: GraphFile, pixels: Pixels, image: ImageSpec, progress: Progress | None = None
) -> Tensor:
    """Run pixels (N, h, w, 3) through a file and return (N, classes)."""
    tell = progress or silent
    size = max(1, graph.inputs[0].shape[0])
    rows = []
    for start in range(0, len(pixels), size):
        batch = np.concatenate([normalise(p, image) for p in pixels[start : start + size]])
        rows.append(run_batch(engine, graph, batch))
        tell(Step("run the produced file", done=min(start + size, len(pixels)), total=len(pixels)))
    return np.concatenate(rows)


def choose_pictures(spec: Spec, folder: str | Path | None, *, trained: bool) -> PictureSet:
    """Take the pictures of a proof from a folder, else render them."""
    most = MOST_PICTURES if trained else MOST_UNTRAINED
    if folder is not None:
        return from_folder(folder, most=most)
    own = trained and spec.labels == shapes.LABELS
    return built_in(spec, most=MOST_RENDERS if own else most, split="verification")


def golden_of(engine: Engine, graph: GraphFile, picture: Pixels, image: ImageSpec) -> tuple[Tensor, Tensor]:
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
    progress: Progress | None = None,
) -> Report:
    """Prove a bundle again. ``golden`` asks for its own sample only, which needs neither torch nor pictures.

    ``weights`` names the weights that the bundle was made of, to compare with the model in torch; shipped ones are
    found without being named.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    limits = agreement.limits_for(opened.manifest.precision, gates)
    graph = opened.manifest.graphs["main"]
    engine = open_engine(opened.manifest.format, opened.graph_file(), graph)
    try:
        if golden:
            return _verify_golden(opened, engine, graph)
        model = _model_of(opened, weights)
        if model is None:
            return _verify_stored(opened, engine, graph, limits, progress, asked_for_images=images is not None)
        return _verify_with_model(opened, engine, graph, limits, model, images, progress)
    finally:
        engine.close()


def _verify_golden(bundle: Bundle, engine: Engine, graph: GraphFile) -> Report:
    picture, tensor, output = read_arrays(bundle, "golden", ("picture", "input", "output"))
    manifest = bundle.manifest
    made = prepare(picture, manifest.spec.image, color="rgb")
    answered = run_batch(engine, graph, tensor)
    figures = agreement.measure(output, answered, noise_relative=0.0)
    step = float(np.abs(made - tensor).max() * min(manifest.spec.image.std) * 255)
    tolerance = float(manifest.golden["relative_tolerance"])
    value = figures.relative_median
    checks = (
        Gate("input, in grey levels", 1.0, step, step <= 1.0, True),
        Gate("relative", tolerance, value, value <= tolerance, True),
    )
    sample = {"source": "the bundle's own golden sample", "count": 1}
    return Report(str(bundle.path), "the golden output", engine.description, sample, figures, checks)


def _verify_stored(
    bundle: Bundle,
    engine: Engine,
    graph: GraphFile,
    limits: Mapping[str, float],
    progress: Progress | None,
    *,
    asked_for_images: bool,
) -> Report:
    pixels, reference = read_arrays(bundle, "reference", ("pixels", "outputs"))
    outputs = answers(engine, graph, pixels, bundle.manifest.spec.image, progress)
    figures = agreement.measure(reference, outputs, noise_relative=float(bundle.manifest.reference["noise_relative"]))
    notes = ["compared with the reference stored at export, since the model itself is not at hand"]
    if asked_for_images:
        notes.append("--images was not used: without the model there is no answer to compare with on other pictures")
    stored = {"source": "the bundle's own reference", "count": len(pixels)}
    return _report(bundle, "the stored reference", engine, stored, figures, limits, notes)


def _verify_with_model(
    bundle: Bundle,
    engine: Engine,
    graph: GraphFile,
    limits: Mapping[str, float],
    model: Reference,
    images: str | Path | None,
    progress: Progress | None,
) -> Report:
    spec = bundle.manifest.spec
    pictures = choose_pictures(spec, images, trained=bundle.manifest.trained)
    pixels = np.stack(list(pictures.pixels(spec.image)))
    reference = model.answers(pixels, progress)
    outputs = answers(engine, graph, pixels, spec.image, progress)
    noise = model.noise_relative(pixels)
    figures = agreement.measure(reference, outputs, noise_relative=noise, truth=pictures.truth)
    shown = {"source": pictures.source, "count": len(pictures)}
    return _report(bundle, "torch", engine, shown, figures, limits, [])


def _model_of(bundle: Bundle, weights: str | None) -> Reference | None:
    """Return the model in torch if torch and the weights are here; asked for by name, its absence is an error."""
    try:
        build = door("edgevit.exporters.reference:of_bundle")
    except ImportError as exc:
        if weights is None:
            return None
        raise missing(str(exc.name), "Comparing with the model in torch", "models") from exc
    model: Reference | None = build(bundle, weights)
    return model


def _report(
    bundle: Bundle,
    compared_with: str,
    engine: Engine,
    pictures: Mapping[str, object],
    figures: Figures,
    limits: Mapping[str, float],
    notes: list[str],
) -> Report:
    manifest = bundle.manifest
    gates = agreement.judge(figures, limits, precision=manifest.precision, trained=manifest.trained)
    remarks = (
        notes if manifest.trained else [*notes, "UNTRAINED weights: top-1 agreement and int8 figures are not gated"]
    )
    return Report(str(bundle.path), compared_with, engine.description, pictures, figures, gates, tuple(remarks))
