"""Find the nodes of an ONNX file that TensorRT's parser takes by name and restricts in kind. Rules; needs no torch.

Source: the remarks in onnx/onnx-tensorrt, docs/operators.md (see tensorrt_ops.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .tensorrt_ops import MOST_DIMENSIONS


def restrictions(onnx: Any, model: Any) -> Iterator[tuple[Any, str]]:
    """Yield the nodes that the published table restricts, in what a file can be seen to break."""
    zeros = {t.name: not np.any(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer if _is_small(t)}
    known = onnx.shape_inference.infer_shapes(model).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in known.value_info}
    for node in model.graph.node:
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        quantised = node.op_type in ("QuantizeLinear", "DequantizeLinear")
        if quantised and len(node.input) > 2 and not zeros.get(node.input[2], False):
            yield node, "its zero point is not 0"
        pools = node.op_type in ("AveragePool", "MaxPool", "LpPool")
        if pools and not 2 <= len(given["kernel_shape"]) <= 3:
            yield node, "it pools over one dimension; two or three are taken"
        if pools and set(given.get("dilations", [1])) != {1}:
            yield node, "it is dilated"
        if node.op_type == "MaxPool" and len(node.output) > 1:
            yield node, "it gives the places of the maxima"
        if node.op_type == "Resize" and (given.get("antialias") or given.get("mode") == b"cubic"):
            yield node, "it resizes with antialiasing or by cubics; nearest and linear are taken"
        if any(ranks.get(value, 0) > MOST_DIMENSIONS for value in node.output):
            yield node, f"it gives more than {MOST_DIMENSIONS} dimensions"


def _is_small(tensor: Any) -> bool:
    """Tell whether a constant may be a zero point: those are one number, or one a channel."""
    return len(tensor.dims) <= 1
