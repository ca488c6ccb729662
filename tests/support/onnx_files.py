"""Make small ONNX files for tests with the onnx package alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def mean_classifier(path: Path, *, classes: int = 3, size: int = 8, scale: float = 1.0, batch: int | str = 1) -> Path:
    """Write a net that answers with the mean of each colour channel, times ``scale``."""
    weights = numpy_helper.from_array(np.float32(scale) * np.eye(3, classes, dtype=np.float32), "weights")
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    return save(path, nodes, [weights], size=size, classes=classes, batch=batch)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    *,
    size: int = 8,
    classes: int = 3,
    batch: int | str = 1,
    domains: tuple[str, ...] = (),
    output: int = TensorProto.FLOAT,
) -> Path:
    """Write a graph from ``image`` to ``logits``."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("logits", output, [batch, classes])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def outside(location: str, name: str = "weights") -> onnx.TensorProto:
    """Return a 3 x 3 tensor whose numbers lie in another file."""
    tensor = numpy_helper.from_array(np.eye(3, dtype=np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor
