"""Read a Core ML package as a program and evaluate it operation by operation, on any machine. No Mac, no Core ML.

What is stored as fp16 is computed in fp32 from fp16 values and rounded to fp16 after every operation, as the units of a
phone do that add up in a wider register; torch's own fp16 on a CPU differs from processor to processor and is slower
where the processor has none. Each result is held against the type and shape that the program promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevit.errors import BadOutputError, EngineError, missing, reason

from .mil_ops import EXACT, KINDS, TABLE
from .mil_windows import Function
from .quiet import pass_on, quiet

Tensor = torch.Tensor

_MOST_PLAIN = 4096
"""Longer constants are weights, never strides or axes."""
_DAMAGED = "The package is damaged, or the evaluator wrong: run it on a Mac."
_ON_A_MAC = "Verify the package on a Mac, where Core ML itself runs."


@dataclass(frozen=True)
class Promise:
    """Say what the program promises of one result."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, eq=False)
class Node:
    """Hold one operation with its constants made ready; ``live`` names the arguments that other operations make."""

    operation: str
    function: Function
    live: tuple[tuple[str, str | tuple[str, ...]], ...]
    fixed: Mapping[str, Any]
    written: Mapping[str, Any]
    outputs: tuple[Promise, ...]
    last_uses: tuple[str, ...] = ()

    def plain(self, name: str, default: Any = None) -> Any:
        """Return an argument that is written in the program as plain Python numbers, else the default."""
        value = self.written.get(name)
        return default if value is None else value

    @property
    def makes(self) -> Iterable[str]:
        """Name the values that the arguments come from."""
        for _, name in self.live:
            yield from (name,) if isinstance(name, str) else name


Watch = Callable[[Node, Promise, Tensor], Tensor | None]
"""Sees each result before it is rounded; what it returns, if anything, stands in its place."""


@dataclass(frozen=True, eq=False)
class MilProgram:
    """Hold a program that is ready to be evaluated."""

    nodes: tuple[Node, ...]
    inputs: tuple[Promise, ...]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    @property
    def half(self) -> bool:
        """Tell whether any number in it is of fp16."""
        return any(p.kind == "fp16" for node in self.nodes for p in node.outputs)

    def evaluate(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Tensor]:
        """Return the outputs by name. NaN and infinity are passed on as they are."""
        with torch.inference_mode():
            values = {p.name: _fed(p, inputs) for p in self.inputs}
            for node in self.nodes:
                arguments = dict(node.fixed)
                for key, name in node.live:
                    arguments[key] = values[name] if isinstance(name, str) else [self._value(n, values) for n in name]
                for promise, value in zip(node.outputs, _computed(node, arguments), strict=True):
                    values[promise.name] = _kept(node, promise, value, watch)
                for name in node.last_uses:
                    del values[name]
            return {name: self._value(name, values) for name in self.outputs}

    def _value(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        return values[name] if name in values else self.constants[name]


def _fed(promise: Promise, inputs: Mapping[str, Tensor]) -> Tensor:
    value = inputs.get(promise.name)
    if value is None or tuple(value.shape) != promise.shape:
        got = "nothing" if value is None else f"the shape {tuple(value.shape)}"
        raise EngineError(f"The program takes '{promise.name}' of the shape {promise.shape}; it was given {got}.")
    value = value.to(KINDS[promise.kind])
    return value.half().float() if promise.kind == "fp16" else value


def _computed(node: Node, arguments: Mapping[str, Any]) -> Sequence[Tensor]:
    """Return a node's results. A program that fits no operation of torch is damaged, and its error names the place."""
    where = f"The operation '{node.operation}', which makes '{node.outputs[0].name}',"
    try:
        made = node.function(arguments, node)
    except EngineError as exc:
        raise EngineError(f"{where} is not one that the evaluator can compute: {exc}. {_ON_A_MAC}") from exc
    except Exception as exc:
        pass_on(exc)
        told = reason(exc).rstrip(".")
        raise EngineError(f"{where} cannot be computed: {told}. {_DAMAGED}") from exc
    made = made if isinstance(made, tuple | list) else (made,)
    if len(made) != len(node.outputs):
        raise BadOutputError(f"{where} made {len(made)} results; the program promises {len(node.outputs)}. {_DAMAGED}")
    return made


def _kept(node: Node, promise: Promise, value: Tensor, watch: Watch | None) -> Tensor:
    """Hold a result against its promise and round it where the program says fp16."""
    if value.shape != promise.shape or value.dtype != KINDS[promise.kind]:
        raise BadOutputError(
            f"The operation '{node.operation}' made '{promise.name}' of the shape {tuple(value.shape)} and type "
            f"{value.dtype}; the program promises {promise.shape} of {promise.kind}. {_DAMAGED}"
        )
    if watch is not None:
        other = watch(node, promise, value)
        value = value if other is None else other
    if promise.kind != "fp16" or (node.operation in EXACT and watch is None):
        return value
    return value.half().float()


def read(path: Path, outputs: Sequence[str] | None = None) -> MilProgram:
    """Read the program of a saved package; only what the named outputs (None: all tensors) need is kept."""
    try:
        with quiet():  # it says on import what it lacks here: everything that is not needed off a Mac
            import coremltools as ct
    except ImportError as exc:
        raise missing("coremltools", "Evaluating a Core ML package", "coreml") from exc
    spec = ct.proto.Model_pb2.Model()
    try:
        # Not through MLModel: that one writes into the package when it opens it, and a bundle is sealed.
        (model,) = path.glob("Data/*/*.mlmodel")
        spec.ParseFromString(model.read_bytes())
    except Exception as exc:
        raise EngineError(f"{path.name} is no readable Core ML package: {reason(exc)}. Copy the bundle again.") from exc
    return of_spec(spec, model.parent / "weights", path.name, outputs)


def of_spec(spec: Any, weights: Path, name: str, outputs: Sequence[str] | None = None) -> MilProgram:
    """Read the program of a model's description and its folder of weights."""
    from coremltools.converters.mil.frontend.milproto.load import load

    try:
        main = load(spec, spec.specificationVersion, str(weights)).functions["main"]
        return _prepared(main, outputs)
    except Exception as exc:
        pass_on(exc)
        raise EngineError(f"{name} holds no readable ML program: {reason(exc)}. Export the model again.") from exc


def _prepared(main: Any, wanted: Sequence[str] | None) -> MilProgram:
    """Turn PyMIL's function into nodes, leaving out what no wanted output needs."""
    tensors = tuple(var.name for var in main.outputs if _kind(var) in KINDS)
    outputs = tensors if wanted is None else tuple(wanted)
    if lacking := [name for name in outputs if name not in tensors]:
        raise EngineError(f"The package has no output '{lacking[0]}'; it has {', '.join(tensors) or 'none'}.")
    needed, kept, constants = set(outputs), [], {}
    for operation in reversed(main.operations):
        if not any(var.name in needed for var in operation.outputs):
            continue
        if (value := _constant(operation)) is not None:
            constants[operation.outputs[0].name] = _tensor(value)
            continue
        node = _node(operation)
        needed.update(node.makes)
        kept.append(node)
    inputs = tuple(_promise(var) for var in main.inputs.values())
    return MilProgram(_freed(kept, {*outputs}, {p.name for p in inputs}), inputs, constants, outputs)


def _freed(backwards: list[Node], alive: set[str], inputs: set[str]) -> tuple[Node, ...]:
    """Put the nodes in order, each with the values that nobody needs after it."""
    made = inputs | {p.name for node in backwards for p in node.outputs}
    ordered = []
    for node in backwards:
        last = (({*node.makes} & made) | {p.name for p in node.outputs}) - alive
        alive |= last
        ordered.append(replace(node, last_uses=tuple(sorted(last))))
    return tuple(reversed(ordered))


def _node(operation: Any) -> Node:
    kind = operation.op_type
    outputs = tuple(_promise(var) for var in operation.outputs)
    if kind not in TABLE or any(p.kind not in KINDS for p in outputs):
        raise EngineError(
            f"The evaluator does not know the operation '{kind}' (it makes '{outputs[0].name}'), so it cannot prove "
            f"this package. {_ON_A_MAC}"
        )
    live: list[tuple[str, str | tuple[str, ...]]] = []
    fixed, written = {}, {}
    for key, given in operation.inputs.items():
        if isinstance(given, list | tuple):
            live.append((key, tuple(var.name for var in given)))
        elif given is not None and (value := _value(given)) is not None:
            if not isinstance(value, str):
                fixed[key] = _tensor(value)
            if np.size(value) <= _MOST_PLAIN:
                written[key] = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        elif given is not None:
            live.append((key, given.name))
    return Node(kind, TABLE[kind], tuple(live), fixed, written, outputs)


def _promise(var: Any) -> Promise:
    shape = tuple(var.shape) if hasattr(var, "shape") else ()
    if not all(isinstance(n, int | np.integer) for n in shape):
        raise EngineError(f"'{var.name}' is of a size that may vary; the evaluator takes fixed sizes only.")
    return Promise(var.name, tuple(int(n) for n in shape), _kind(var))


def _kind(var: Any) -> str:
    """Return the program's word for the type of a value's numbers."""
    from coremltools.converters.mil.mil import types

    try:
        return str(types.builtin_to_string(var.dtype))
    except (KeyError, AttributeError, TypeError):
        return "no numbers"


def _constant(operation: Any) -> Any:
    """Return the value of an operation that computes nothing at run time, weights unpacked; else None."""
    if operation.op_type.startswith("constexpr_"):
        return operation.materialized_val_inference()
    return operation.outputs[0].val if len(operation.outputs) == 1 else None


def _value(var: Any) -> Any:
    maker = var.op
    return var.val if maker is None else _constant(maker)


def _tensor(value: Any) -> Tensor:
    """Widen fp16 to fp32; what it holds stays of fp16."""
    array = np.asarray(value)
    wide = {"f": np.float32, "u": np.int32 if array.itemsize > 1 else np.uint8}.get(array.dtype.kind)
    array = array if wide is None else array.astype(wide)
    return torch.from_numpy(np.ascontiguousarray(array).copy()).reshape(array.shape)
