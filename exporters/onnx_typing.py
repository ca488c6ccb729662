"""Write types into an ONNX graph: fp16 tensors and weights, float32 islands, and a Cast at every border.

A TensorRT network that is built strongly typed takes its precision from here and decides nothing by itself. Inputs and
outputs stay float32. An island's nodes are called ``fp32/...``: TensorRT 8, which knows no strong typing, gives layers
of that name float32 by constraint, so the file carries all that the builder has to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.formats import FP32_NODE

from .onnx_floats import FloatGraph

_STAYS_FLOAT = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs whose type ONNX binds to float32, whatever the first one is."""


@dataclass(frozen=True)
class Typed:
    """Tell what typing made: the number of casts, and the tensors that are fp16 now, by their former names."""

    casts: int
    halved: frozenset[str]


def halve(onnx: Any, model: Any, graph: FloatGraph, islands: Mapping[str, str]) -> Typed:
    """Type a plain model in place and tell what that made."""
    typist = _Typist(onnx, model, graph)
    for node in graph.nodes:
        typist.take(node, half=node.name not in islands)
    return typist.write()


class _Typist:
    """Go through the nodes in order; a tensor is known by its name and by whether it is wanted in fp16."""

    def __init__(self, onnx: Any, model: Any, graph: FloatGraph) -> None:
        self._onnx = onnx
        self._model = model
        self._graph = graph
        self._nodes: list[Any] = []
        self._casts = 0
        self._made: dict[tuple[str, bool], str] = {}
        self._names = {value for node in graph.nodes for value in (*node.input, *node.output)}
        self._constants: dict[str, Any] = {}
        for value in (*model.graph.input, *model.graph.initializer):
            if graph.is_float(value.name):
                self._made[value.name, False] = value.name

    def take(self, node: Any, *, half: bool) -> None:
        """Add a node with inputs of its type, and casts before it where there are none yet."""
        bound = _STAYS_FLOAT.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if self._graph.is_float(name):
                node.input[place] = self._typed(name, half=half and place not in bound)
        if not half:
            node.name = FP32_NODE + node.name
        self._nodes.append(node)
        for place, name in enumerate(node.output):
            if not self._graph.is_float(name):
                continue
            shown = half and name in self._graph.outputs
            self._made[name, half] = node.output[place] = self._fresh(f"{name}_fp16") if shown else name
            if shown:  # what the outside sees keeps its name and float32
                self._cast(self._made[name, True], name, half=False)
                self._made[name, False] = name
        if half:
            self._retype_attributes(node)

    def _typed(self, name: str, *, half: bool) -> str:
        if (name, half) not in self._made:
            new = self._fresh(f"{name}_fp16" if half else f"{name}_fp32")
            if name in self._graph.constants:
                value = self._graph.constants[name].astype(np.float16)
                self._constants[name] = self._onnx.numpy_helper.from_array(value, new)
            else:
                self._cast(self._made[name, not half], new, half=half)
            self._made[name, half] = new
        return self._made[name, half]

    def _cast(self, source: str, target: str, *, half: bool) -> None:
        kind = self._onnx.TensorProto.FLOAT16 if half else self._onnx.TensorProto.FLOAT
        self._casts += 1
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [target], f"cast/{target}", to=kind))

    def _fresh(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def _retype_attributes(self, node: Any) -> None:
        """Let a node that names its output's type name fp16."""
        float32, float16 = self._onnx.TensorProto.FLOAT, self._onnx.TensorProto.FLOAT16
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == float32:
                attribute.i = float16
            if node.op_type == "ConstantOfShape" and attribute.name == "value" and attribute.t.data_type == float32:
                value = self._onnx.numpy_helper.to_array(attribute.t).astype(np.float16)
                attribute.t.CopyFrom(self._onnx.numpy_helper.from_array(value, attribute.t.name))

    def write(self) -> Typed:
        """Put nodes and constants into the model; a float32 constant that nobody takes any more is dropped."""
        graph = self._model.graph
        wanted = {name for node in self._nodes for name in node.input} | set(self._graph.outputs)
        kept = [t for t in graph.initializer if t.name in wanted]
        del graph.initializer[:], graph.node[:], graph.value_info[:]
        graph.initializer.extend([*kept, *self._constants.values()])
        graph.node.extend(self._nodes)
        halved = frozenset(name for name, half in self._made if half and name not in self._graph.constants)
        return Typed(self._casts, halved)
