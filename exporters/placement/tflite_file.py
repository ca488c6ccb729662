"""Hold a TFLite file's operators as the rules look at them: tensors, constants, options that a rule asks for."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import BundleError
from edgevit.runtime.engines.flatbuffer import Table, read_root

_MODEL_CODES, _MODEL_SUBGRAPHS = 1, 2
_CODE_OLD, _CODE_NEW = 0, 3
_GRAPH_OPERATORS = 3
_OPERATOR_CODE, _OPERATOR_KIND, _OPERATOR_OPTIONS = 0, 3, 4
_LONGEST_PLAIN = 64

_AVERAGE_POOL, _MAX_POOL, _STRIDED_SLICE = 1, 17, 45
_POOL = {"stride_w": (1, "i"), "stride_h": (2, "i"), "filter_w": (3, "i"), "filter_h": (4, "i")}
_MASKS = {"ellipsis_mask": (2, "i"), "new_axis_mask": (3, "i"), "shrink_axis_mask": (4, "i")}
_FIELDS: Mapping[int, Mapping[str, tuple[int, str]]] = {
    _AVERAGE_POOL: _POOL,
    _MAX_POOL: _POOL,
    _STRIDED_SLICE: _MASKS,
}
"""Operator -> option -> its field and kind in schema.fbs (version 3); interpreters do not tell them."""


@dataclass(frozen=True)
class Value:
    """Hold one tensor. ``numbers`` are those of a short constant."""

    shape: tuple[int, ...]
    dtype: str
    constant: bool
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operator:
    """Hold one operator of the main graph; ``index`` is its place in the file."""

    index: int
    kind: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    options: Mapping[str, int]

    @property
    def computed(self) -> tuple[Value, ...]:
        """Return the inputs that are not constants."""
        return tuple(value for value in self.inputs if not value.constant)


def operators_of(interpreter: Any, nodes: list[Mapping[str, Any]], path: Path) -> tuple[Operator, ...]:
    """Return the operators of a file from an interpreter that has it open (``nodes`` without its delegates)."""
    made = {tensor for node in nodes for tensor in node["outputs"]}
    given = {detail["index"] for detail in interpreter.get_input_details()}
    values: dict[int, Value] = {}
    for detail in interpreter.get_tensor_details():
        index = int(detail["index"])
        values[index] = _value(interpreter, detail, constant=index not in made | given)
    options = read_options(path)
    if len(options) != len(nodes):
        raise BundleError(f"{path.name} has {len(options)} operators and its interpreter {len(nodes)}.")
    return tuple(
        Operator(
            at,
            node["op_name"],
            tuple(values[t] for t in node["inputs"] if t in values),  # -1 is an input that is left out
            tuple(values[t] for t in node["outputs"] if t in values),
            told,
        )
        for at, (node, told) in enumerate(zip(nodes, options, strict=True))
    )


def _value(interpreter: Any, detail: Mapping[str, Any], *, constant: bool) -> Value:
    shape = tuple(int(n) for n in detail["shape"])
    dtype = np.dtype(detail["dtype"])
    short = constant and dtype.kind == "i" and int(np.prod(shape, initial=1)) <= _LONGEST_PLAIN
    numbers = tuple(int(n) for n in np.ravel(interpreter.get_tensor(detail["index"]))) if short else ()
    return Value(shape, dtype.name, constant, numbers)


def read_options(path: Path) -> tuple[Mapping[str, int], ...]:
    """Return the options of each operator of the main graph that a rule asks for, in the file's order."""
    try:
        data = memoryview(path.read_bytes())
        model = read_root(data)
        codes = [max(c.number(_CODE_OLD, "b"), c.number(_CODE_NEW, "i")) for c in model.tables(_MODEL_CODES)]
        operators = model.tables(_MODEL_SUBGRAPHS)[0].tables(_GRAPH_OPERATORS)
        return tuple(_options(operator, codes[operator.number(_OPERATOR_CODE, "I")]) for operator in operators)
    except (struct.error, ValueError, IndexError, OSError) as exc:
        raise BundleError(f"{path.name} is not a readable TFLite file ({exc}). Copy the bundle again.") from exc


def _options(operator: Table, code: int) -> Mapping[str, int]:
    if code not in _FIELDS or not operator.number(_OPERATOR_KIND, "B"):
        return {}
    options = operator.table(_OPERATOR_OPTIONS)
    return {name: options.number(*field) for name, field in _FIELDS[code].items()}
