"""Seal a TensorRT bundle of a tracker whose two graphs are sums: the colour of the template, then of both pictures."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import tiny_bundles
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgevit.bundle import Bundle
from edgevit.manifest import GraphFile
from edgevit.spec import ImageSpec, Spec, TensorSpec, TrackSpec

PICTURE, COLOUR, BOX, SCORE = (1, 3, 8, 8), (1, 3), (1, 4), (1, 1)
SPEC = Spec(
    task="track",
    image=ImageSpec((8, 8), (8, 8)),
    output="box",
    track=TrackSpec((8, 8), (8, 8), map_stride=8, score="score", state=(("template.colour", "track.colour"),)),
)
ENDS: Mapping[str, Any] = {
    "template": ({"template": PICTURE}, {"colour": COLOUR}),
    "track": ({"search": PICTURE, "colour": COLOUR}, {"box": BOX, "score": SCORE}),
}


def sealed(folder: Path, tolerance: float, **spoilt: float) -> Bundle:
    """Seal the bundle; ``spoilt`` are answers of the sample that get a number added, by ``graph_tensor``."""
    rng = np.random.default_rng(0)
    template, search = (rng.random(PICTURE, np.float32) for _ in range(2))
    colour = template.mean((2, 3))
    total = (search.mean((2, 3)) + colour).sum()
    sample = {
        "template.template": template,
        "track.search": search,
        "template.colour": colour,
        "track.box": np.full(BOX, total, np.float32),
        "track.score": np.full(SCORE, total, np.float32),
    }
    for name, more in spoilt.items():
        sample[name.replace("_", ".")] += np.float32(more)
    stream = BytesIO()
    np.savez(stream, **sample)
    files = {f"{name}.onnx": model(name).SerializeToString() for name in ENDS}
    return tiny_bundles.write(
        folder,
        content=None,
        format="tensorrt",
        precision="fp16",
        engine={"name": "tensorrt", "minimum": "8.2"},
        spec=SPEC,
        operations=blob_tracker.MANIFEST.operations,
        graphs={name: _described(name) for name in ENDS},
        state=blob_tracker.MANIFEST.state,
        more={**files, "sample.npz": stream.getvalue()},
        golden={"file": "sample.npz", "relative_tolerance": tolerance},
    )


def model(name: str) -> ModelProto:
    """Make one of the graphs."""
    nodes = {
        "template": [helper.make_node("ReduceMean", ["template", "axes"], ["colour"], keepdims=0)],
        "track": [
            helper.make_node("ReduceMean", ["search", "axes"], ["mean"], keepdims=0),
            helper.make_node("Add", ["mean", "colour"], ["both"]),
            helper.make_node("MatMul", ["both", "four"], ["box"]),
            helper.make_node("MatMul", ["both", "one"], ["score"]),
        ],
    }[name]
    held = {"axes": np.array([2, 3]), "four": np.ones((3, 4), np.float32), "one": np.ones((3, 1), np.float32)}
    used = {tensor for node in nodes for tensor in node.input}
    inputs, outputs = (
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in end.items()] for end in ENDS[name]
    )
    constants = [numpy_helper.from_array(value, n) for n, value in held.items() if n in used]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _described(name: str) -> GraphFile:
    inputs, outputs = (tuple(TensorSpec(n, shape) for n, shape in end.items()) for end in ENDS[name])
    return GraphFile(f"{name}.onnx", "main", inputs, outputs, "graph-only")
