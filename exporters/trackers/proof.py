"""Write and read the evidence that is stored in a tracker's bundle. numpy only.

* ``golden.npz``: ``picture`` (H, W, 3) RGB, ``box_xywh`` (1, 4) around the target in it, the input tensor that each
  graph's picture becomes and both graphs' outputs, each under its name ``graph.tensor``; the search square is laid
  around the same box.
* ``reference.npz``: ``templates`` and ``searches`` (N, h, w, 3), cut and resized; ``outputs.NAME`` of the model in
  torch and ``answers.NAME`` of the files at their export, for every output of ``track`` but the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import Bundle
from edgevit.manifest import Manifest
from edgevit.runtime.engines import Tensor
from edgevit.samples import read_arrays
from edgevit.scenes.clips import Clip
from edgevit.scenes.shapes import split_seed

from ..proof import GOLDEN_FILE, REFERENCE_COUNT, REFERENCE_FILE, TOLERANCE
from .composed import GRAPHS, Answers, Composed
from .pairs import Box, PairSet, Pixels, cut

_SIZE_HW = (150, 200)
"""Neither square nor of a model's size, so that cut and resize count."""


def golden_frame() -> tuple[Pixels, Box]:
    """Render the golden sample's frame, and the box around its target."""
    shot = Clip("plain", seed=split_seed("demo"), count=2, size_hw=_SIZE_HW).shot(0)
    assert shot.box_xywh is not None  # no clip begins without its target
    return shot.rgb, shot.box_xywh


def golden_tensors(composed: Composed, picture: Pixels, box_xywh: Box) -> dict[str, Tensor]:
    """Return the input tensors that the golden frame becomes, by the names they have in the file."""
    return {
        f"{name}.{composed.graphs[name].inputs[0].name}": composed.tensor(
            name, cut(composed.spec, picture, box_xywh, name)
        )
        for name in GRAPHS
    }


def golden_answers(composed: Composed, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return both graphs' answers to the golden tensors, by the names they have in the file."""
    both = zip(GRAPHS, composed.both(*inputs.values()), strict=True)
    return {f"{name}.{tensor}": value for name, answers in both for tensor, value in answers.items()}


def write_golden(folder: Path, composed: Composed, precision: str) -> dict[str, Any]:
    """Write the golden sample and return what the manifest says of it."""
    picture, box = golden_frame()
    inputs = golden_tensors(composed, picture, box)
    stored = {"picture": picture, "box_xywh": np.array([box], np.float32), **inputs, **golden_answers(composed, inputs)}
    np.savez_compressed(folder / GOLDEN_FILE, **stored)  # type: ignore[arg-type]
    return {"file": GOLDEN_FILE, "color": "rgb", "relative_tolerance": TOLERANCE[precision]}


def read_golden(bundle: Bundle) -> tuple[Pixels, Box, dict[str, Tensor], dict[str, Tensor]]:
    """Return picture, box, input tensors and answers."""
    graphs = bundle.manifest.graphs
    inputs = [f"{name}.{graphs[name].inputs[0].name}" for name in GRAPHS]
    outputs = [f"{name}.{t.name}" for name in GRAPHS for t in graphs[name].outputs]
    picture, box, *rest = read_arrays(bundle, "golden", ("picture", "box_xywh", *inputs, *outputs))
    x, y, w, h = (float(value) for value in box[0])
    given, answers = rest[: len(inputs)], rest[len(inputs) :]
    return picture, (x, y, w, h), dict(zip(inputs, given, strict=True)), dict(zip(outputs, answers, strict=True))


def write_reference(
    folder: Path, manifest: Manifest, pairs: PairSet, outputs: Answers, answers: Answers, noise_relative: float
) -> dict[str, Any]:
    """Write the torch reference and return what the manifest says of it."""
    kept = slice(0, REFERENCE_COUNT)
    some = pairs[kept]
    stored: dict[str, Any] = {"templates": some.templates, "searches": some.searches}
    for kind, values in (("outputs", outputs), ("answers", answers)):
        stored |= {f"{kind}.{name}": values[name][kept] for name in kept_outputs(manifest)}
    np.savez_compressed(folder / REFERENCE_FILE, **stored)
    return {"file": REFERENCE_FILE, "count": len(some), "noise_relative": float(f"{noise_relative:.6g}")}


def read_reference(bundle: Bundle) -> tuple[PairSet, Answers, Answers]:
    """Return the stored pairs, the answers of torch, and those of the files at their export."""
    names = kept_outputs(bundle.manifest)
    arrays = read_arrays(
        bundle,
        "reference",
        ("templates", "searches", *(f"outputs.{n}" for n in names), *(f"answers.{n}" for n in names)),
    )
    templates, searches, *rest = arrays
    pairs = PairSet("the bundle's own reference", tuple(map(str, range(len(templates)))), templates, searches)
    wanted, then = rest[: len(names)], rest[len(names) :]
    return pairs, dict(zip(names, wanted, strict=True)), dict(zip(names, then, strict=True))


def kept_outputs(manifest: Manifest) -> tuple[str, ...]:
    """Name the outputs that a reference holds; features are long, and the golden sample has them."""
    track = manifest.spec.track
    assert track is not None
    return tuple(t.name for t in manifest.graphs["track"].outputs if t.name != track.features)
