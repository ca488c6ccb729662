"""Seal and open bundles for the stand-ins of TensorRT and CUDA (the fixture ``device`` in tests/runtime)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx_files
import tiny_bundles

from edgevit.bundle import Bundle
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import EngineOptions, load_engine
from edgevit.spec import TensorSpec

COMPILER = shutil.which("cc")
Device = Callable[..., ModuleType]


def sealed(
    folder: Path, precision: str = "fp16", batch: int | str = 1, *, more: Any = None, golden: Any = None, **net: Any
) -> Bundle:
    """Seal a TensorRT bundle of a net that answers with the mean of each colour channel.

    ``more`` and ``golden`` are files and the manifest's word of a golden sample that is not all zeros.
    """
    model = onnx_files.mean_classifier(folder.parent / f"{folder.name}.onnx", batch=batch, **net)
    rows = batch if isinstance(batch, int) else -1
    graph = GraphFile(
        "model.onnx", "main", (TensorSpec("image", (rows, 3, 8, 8)),), (TensorSpec("logits", (rows, 3)),), "graph-only"
    )
    engine = {"name": "tensorrt", "minimum": "8.2"}
    return tiny_bundles.write(
        folder,
        content=model.read_bytes(),
        format="tensorrt",
        precision=precision,
        engine=engine,
        graphs={"main": graph},
        more=more,
        **({"golden": golden} if golden else {}),
    )


def opened(bundle: Bundle, **options: Any) -> Any:
    return load_engine("tensorrt", bundle.graph_file(), bundle.manifest.graphs["main"], EngineOptions(**options))
