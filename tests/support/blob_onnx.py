"""Seal the colour finder of ``blob_tracker`` as a real ONNX bundle: with it the verbs run end to end in no time."""

from __future__ import annotations

from pathlib import Path

import blob_tracker
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevit.bundle import Bundle, seal, staging
from edgevit.manifest import GraphFile

_INITIAL: dict[str, np.ndarray] = {
    "middle": np.array([blob_tracker.TEMPLATE // 2] * 2, np.int64),
    "behind": np.array([blob_tracker.TEMPLATE // 2 + 1] * 2, np.int64),
    "sides": np.array([2, 3], np.int64),
    "flat": np.array([1, 3], np.int64),
    "channel": np.array([1], np.int64),
    "across": np.array([1, 3], np.int64),
    "down": np.array([1, 2], np.int64),
    "near": np.array(0.1, np.float32),
    "enough": np.array(20, np.float32),
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
    "side": np.array(blob_tracker.SEARCH, np.float32),
    "eight": np.array(8, np.float32),
    "four": np.array(4, np.float32),
    "even": np.full((1, blob_tracker.CELLS, blob_tracker.CELLS), 1 / blob_tracker.CELLS**2, np.float32),
}


def write(out: Path) -> Bundle:
    """Seal the bundle at ``out``."""
    with staging(out) as folder:
        for name, nodes in (("template", _template()), ("track", _track())):
            _save(folder / f"{name}.onnx", nodes, blob_tracker.MANIFEST.graphs[name])
        np.savez(folder / "golden.npz", picture=np.zeros(1))
        return seal(folder, blob_tracker.MANIFEST, out)


def _template() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Slice", ["template", "middle", "behind", "sides"], ["pixel"]),
        helper.make_node("Reshape", ["pixel", "flat"], ["colour"]),
    ]


def _track() -> list[onnx.NodeProto]:
    nodes = [
        helper.make_node("Unsqueeze", ["colour", "sides"], ["wanted"]),
        helper.make_node("Sub", ["search", "wanted"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["distance"]),
        helper.make_node("ReduceMax", ["distance", "channel"], ["worst"]),
        helper.make_node("Less", ["worst", "near"], ["alike"]),
        helper.make_node("Cast", ["alike"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask"], ["count"]),
        helper.make_node("Less", ["enough", "count"], ["seen"]),
        helper.make_node("Cast", ["seen"], ["found"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["found", "eight"], ["raised"]),
        helper.make_node("Sub", ["raised", "four"], ["logit"]),
        helper.make_node("Reshape", ["logit", "single"], ["score"]),
    ]
    for axis, along in (("y", "across"), ("x", "down")):
        nodes += [
            helper.make_node("ReduceMax", ["mask", along], [f"{axis}_any"], keepdims=0),
            helper.make_node("ArgMax", [f"{axis}_any"], [f"{axis}_first_at"], axis=1),
            helper.make_node("ArgMax", [f"{axis}_any"], [f"{axis}_last_at"], axis=1, select_last_index=1),
            helper.make_node("Cast", [f"{axis}_first_at"], [f"{axis}_first"], to=TensorProto.FLOAT),
            helper.make_node("Cast", [f"{axis}_last_at"], [f"{axis}_last"], to=TensorProto.FLOAT),
            helper.make_node("Add", [f"{axis}_last", "one"], [f"{axis}_end"]),
            helper.make_node("Sub", [f"{axis}_end", f"{axis}_first"], [f"{axis}_size"]),
            helper.make_node("Add", [f"{axis}_end", f"{axis}_first"], [f"{axis}_twice"]),
            helper.make_node("Mul", [f"{axis}_twice", "half"], [f"{axis}_centre"]),
        ]
    return [
        *nodes,
        helper.make_node("Concat", ["x_centre", "y_centre", "x_size", "y_size"], ["box_px"], axis=1),
        helper.make_node("Div", ["box_px", "side"], ["box"]),
        helper.make_node("Identity", ["even"], ["top_left"]),
        helper.make_node("Identity", ["even"], ["bottom_right"]),
        helper.make_node("AveragePool", ["search"], ["features"], kernel_shape=[8, 8], strides=[8, 8]),
    ]


def _save(path: Path, nodes: list[onnx.NodeProto], graph: GraphFile) -> None:
    held = {**_INITIAL, "single": np.array([1, 1], np.int64)}
    used = {name for node in nodes for name in node.input}
    made = helper.make_graph(
        nodes,
        "blob",
        [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.shape) for t in graph.inputs],
        [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.shape) for t in graph.outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items() if name in used],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
