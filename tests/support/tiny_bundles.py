"""Make small bundles for tests, without torch and without an engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import Bundle, seal, staging
from edgevit.manifest import GraphFile, Manifest
from edgevit.provenance import Provenance, WeightsRecord
from edgevit.spec import ImageSpec, Spec, TensorSpec

LABELS = ("circle", "square", "triangle")
IMAGE = ImageSpec(size_hw=(8, 8), resize_hw=(8, 8))


def manifest(*, trained: bool = True, labels: tuple[str, ...] = LABELS) -> Manifest:
    """Return a manifest of a classifier with one graph."""
    graph = GraphFile(
        "model.onnx",
        "main",
        (TensorSpec("image", (1, 3, 8, 8)),),
        (TensorSpec("logits", (1, len(labels))),),
        "executed",
    )
    return Manifest(
        model="tiny",
        spec=Spec("classify", IMAGE, labels),
        format="onnx",
        precision="fp32",
        engine={"name": "onnxruntime", "minimum": "1.16"},
        operations={"preprocess": "image/1", "postprocess": "softmax/1"},
        graphs={"main": graph},
        provenance=Provenance(
            WeightsRecord("shipped" if trained else "random (seed 0)", trained, "0" * 64), "Apache-2.0"
        ),
        verification={"passed": True},
        golden={"file": "golden.npz", "relative_tolerance": 1e-3},
        reference={"file": "reference.npz", "noise_relative": 1e-7},
    )


def write(
    out: Path,
    *,
    force: bool = False,
    trained: bool = True,
    content: bytes | None = b"not really a model" * 100,
    more: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> Bundle:
    """Seal a bundle whose model file is only bytes; ``more`` are files beside it, ``changes`` the manifest's fields."""
    with staging(out, force=force) as folder:
        told = replace(manifest(trained=trained), **changes)
        if content is not None:
            (folder / told.graphs["main"].file).write_bytes(content)
        for name, data in (more or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        picture = np.zeros((8, 8, 3), np.uint8)
        np.savez(
            folder / "golden.npz", picture=picture, input=np.zeros((1, 3, 8, 8), np.float32), output=np.zeros((1, 3))
        )
        np.savez(folder / "reference.npz", pixels=picture[None], outputs=np.zeros((1, 3), np.float32))
        return seal(folder, told, out, force=force)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest behind the bundle's back."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
