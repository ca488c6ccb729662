"""Make small bundles for tests, without torch and without an engine."""

from __future__ import annotations

from pathlib import Path

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
        graphs={"main": graph},
        provenance=Provenance(
            WeightsRecord("shipped" if trained else "random (seed 0)", trained, "0" * 64), "Apache-2.0"
        ),
        verification={"passed": True},
        golden={"file": "golden.npz", "relative_tolerance": 1e-3},
        reference={"file": "reference.npz", "noise_relative": 1e-7},
    )


def write(
    out: Path, *, force: bool = False, trained: bool = True, content: bytes = b"not really a model" * 100
) -> Bundle:
    """Seal a bundle whose model file is only bytes."""
    with staging(out, force=force) as folder:
        (folder / "model.onnx").write_bytes(content)
        picture = np.zeros((8, 8, 3), np.uint8)
        np.savez(
            folder / "golden.npz", picture=picture, input=np.zeros((1, 3, 8, 8), np.float32), output=np.zeros((1, 3))
        )
        np.savez(folder / "reference.npz", pixels=picture[None], outputs=np.zeros((1, 3), np.float32))
        return seal(folder, manifest(trained=trained), out, force=force)
