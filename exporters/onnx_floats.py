"""Look at an ONNX graph as types see it: which tensors are float32, who makes them, who takes them.

``plain`` first gives the graph the shape that this wants: every node has a name of its own, constants are initializers,
and there are no branches. ``onnx`` is handed in, since it is imported in onnx.py alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import ConversionError, UnsupportedError

Array = npt.NDArray[Any]

_UNPLAIN = re.compile(r"[^\w./-]", re.ASCII)
"""What has a meaning of its own where a layer is named on a command line."""


def plain(onnx: Any, model: Any) -> Any:
    """Return the model with constants as initializers and plain names on all nodes, in place."""
    graph = model.graph
    kept: list[Any] = []
    seen: set[str] = set()
    for node in graph.node:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise UnsupportedError(
                f"The operator {node.op_type} holds a branch, which cannot be typed. Type: --precision fp32"
            )
        if node.op_type == "Constant":
            graph.initializer.append(_constant(onnx, node))
            continue
        name = _UNPLAIN.sub("_", node.name or node.op_type)
        node.name = name if name not in seen else f"{name}_{len(kept)}"
        seen.add(node.name)
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _constant(onnx: Any, node: Any) -> Any:
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        value.name = node.output[0]
        return value
    dtype = np.float32 if attribute.name.startswith("value_float") else np.int64
    if not attribute.name.startswith(("value_float", "value_int")):
        raise ConversionError(
            f"The constant '{node.output[0]}' is a {attribute.name}, which no TensorRT takes. Type: --format onnx"
        )
    return onnx.numpy_helper.from_array(np.asarray(value, dtype), node.output[0])


class FloatGraph:
    """Hold the float32 tensors of a plain graph: their constants, makers and takers by name."""

    def __init__(self, onnx: Any, model: Any) -> None:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        self.nodes = tuple(model.graph.node)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.constants: dict[str, Array] = {
            t.name: onnx.numpy_helper.to_array(t)
            for t in model.graph.initializer
            if t.data_type == onnx.TensorProto.FLOAT
        }
        types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
        unknown = [f"{n.op_type} '{n.name}'" for n in self.nodes for name in n.output if name and name not in types]
        if unknown:
            raise ConversionError(
                f"The type that the operator {unknown[0]} gives is not known, so it cannot be made fp16. "
                "Type: --precision fp32"
            )
        self._floats = {name for name, kind in types.items() if kind == onnx.TensorProto.FLOAT}
        self._floats |= set(self.constants)
        self.maker = {name: node for node in self.nodes for name in node.output if name}
        self._takers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in set(node.input):
                self._takers.setdefault(name, []).append(node)

    def is_float(self, name: str) -> bool:
        """Tell whether a tensor holds float32 numbers."""
        return name in self._floats

    def streams(self) -> tuple[str, ...]:
        """Return the float tensors that nodes make, in their order."""
        return tuple(name for node in self.nodes for name in node.output if name in self._floats)

    def sources(self, node: Any) -> Iterator[Any]:
        """Yield the node behind each float input that is no constant; None stands for the graph's own input."""
        for name in node.input:
            if name in self._floats and name not in self.constants:
                yield self.maker.get(name)

    def takers(self, node: Any) -> Iterator[Any]:
        """Yield the nodes that take a float output of a node."""
        for name in node.output:
            if name in self._floats:
                yield from self._takers.get(name, [])
