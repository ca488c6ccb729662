"""Write small TFLite files for tests with the schema that ai-edge-litert carries: seconds less than a converter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec

_VERSION = 3
_MARK = b"TFL3"
_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int8": 9}


@dataclass(frozen=True)
class Node:
    """Say one operator: its kind as TFLite spells it, its tensors, the name of its options and what is in them."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: str = ""
    given: Mapping[str, int] = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True)
class Tensor:
    """Say one tensor; one with numbers is a constant."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    numbers: npt.NDArray[Any] | None = None
    scales: tuple[float, ...] = ()


def constant(values: Any, dtype: str = "int32", scales: tuple[float, ...] = ()) -> Tensor:
    """Return a constant tensor."""
    numbers = np.asarray(values, dtype)
    return Tensor(numbers.shape, dtype, numbers, scales)


def save(path: Path, nodes: Sequence[Node], tensors: Mapping[str, Tensor], outputs: Sequence[str]) -> GraphFile:
    """Write a graph whose only input is ``x``, and return what a manifest says of it."""
    model = schema.ModelT()
    model.version = _VERSION
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(model, name, tensor) for name, tensor in tensors.items()]
    places = {name: place for place, name in enumerate(tensors)}
    graph.inputs, graph.outputs = [places["x"]], [places[name] for name in outputs]
    codes = list(dict.fromkeys((node.kind, node.version) for node in nodes))
    model.operatorCodes = [_code(*code) for code in codes]
    graph.operators = [_operator(node, codes, places) for node in nodes]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _MARK)
    path.write_bytes(bytes(builder.Output()))
    specs = tuple(TensorSpec(name, tensors[name].shape) for name in outputs)
    return GraphFile(path.name, "main", (TensorSpec("x", tensors["x"].shape),), specs, "executed")


def _tensor(model: Any, name: str, tensor: Tensor) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type = name, list(tensor.shape), _TYPES[tensor.dtype]
    if tensor.numbers is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.numbers).tobytes(), np.uint8)
        model.buffers.append(buffer)
        made.buffer = len(model.buffers) - 1
    if tensor.scales:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = list(tensor.scales)
        made.quantization.zeroPoint = [0] * len(tensor.scales)
    return made


def _code(kind: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def _operator(node: Node, codes: list[tuple[str, int]], places: Mapping[str, int]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex = codes.index((node.kind, node.version))
    made.inputs, made.outputs = [places[n] for n in node.inputs], [places[n] for n in node.outputs]
    if node.options:
        made.builtinOptionsType = getattr(schema.BuiltinOptions, node.options)
        made.builtinOptions = getattr(schema, f"{node.options}T")()
        for name, value in node.given.items():
            setattr(made.builtinOptions, name, value)
    return made
