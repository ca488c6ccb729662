"""Read the operations of a Core ML package: what each is, its tensors' shapes and types, and its short constants.

The numbers are those of Apple's published Model.proto and MIL.proto. Weights are not opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgevit.errors import BundleError

from .protobuf import Message

_SPEC = ("Data", "com.apple.CoreML", "model.mlmodel")
_MODEL_PROGRAM = 502
_PROGRAM_FUNCTIONS = 2
_FUNCTION_INPUTS, _FUNCTION_OPSET, _FUNCTION_BLOCKS = 1, 2, 3
_BLOCK_OPERATIONS = 3
_OPERATION_KIND, _OPERATION_INPUTS, _OPERATION_OUTPUTS, _OPERATION_ATTRIBUTES = 1, 2, 3, 5
_ARGUMENT_BINDINGS, _BINDING_NAME, _BINDING_VALUE = 1, 1, 2
_NAMED_NAME, _NAMED_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_KIND, _TENSOR_DIMENSIONS = 1, 1, 3
_DIMENSION_CONSTANT, _DIMENSION_SIZE = 1, 1
_VALUE_NOW, _NOW_TENSOR = 3, 1
_TENSOR_INTS, _TENSOR_STRINGS, _TENSOR_LONGS = 2, 4, 5
_VALUES = 1

_KINDS = {1: "bool", 2: "string", 10: "fp16", 11: "fp32", 12: "fp64", 13: "bf16", 21: "int8", 22: "int16", 23: "int32",
          24: "int64", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64"}  # fmt: skip
ANY = -1
"""A dimension that is known only when the program runs."""

Constant = tuple[int | str, ...]


@dataclass(frozen=True)
class Tensor:
    """Hold what the program says of one value."""

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """Hold one operation. ``inputs`` are what is computed or given, ``constants`` its short numbers and words."""

    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    constants: Mapping[str, Constant] = field(default_factory=dict)
    weight_shape: tuple[int, ...] = ()
    """Of the argument ``weight``, stored plainly or unpacked by another operation."""


def read_program(package: Path) -> tuple[Operation, ...]:
    """Return the operations of a package's main function, constants left out."""
    path = package.joinpath(*_SPEC)
    try:
        program = Message(memoryview(path.read_bytes())).message(_MODEL_PROGRAM)
        main = program.entries(_PROGRAM_FUNCTIONS)["main"]
        block = main.entries(_FUNCTION_BLOCKS)[main.text(_FUNCTION_OPSET)]
        return _operations(main, block)
    except KeyError as exc:
        raise BundleError(f"{package.name} holds no ML program: it has no {exc}. Export the model again.") from exc
    except (ValueError, OSError) as exc:
        raise BundleError(f"{package.name} is not a readable Core ML package ({exc}). Copy the bundle again.") from exc


def _operations(main: Message, block: Message) -> tuple[Operation, ...]:
    known = {t.name: t for t in map(_tensor, main.messages(_FUNCTION_INPUTS))}
    written: dict[str, Constant] = {}
    found = []
    for message in block.messages(_BLOCK_OPERATIONS):
        outputs = tuple(map(_tensor, message.messages(_OPERATION_OUTPUTS)))
        known |= {t.name: t for t in outputs}
        if message.text(_OPERATION_KIND) == "const":
            written[outputs[0].name] = _constant(message.entries(_OPERATION_ATTRIBUTES).get("val"))
        else:
            found.append(_operation(message, outputs, known, written))
    return tuple(found)


def _operation(
    message: Message, outputs: tuple[Tensor, ...], known: Mapping[str, Tensor], written: Mapping[str, Constant]
) -> Operation:
    bound = {name: a.messages(_ARGUMENT_BINDINGS) for name, a in message.entries(_OPERATION_INPUTS).items()}
    names = {name: tuple(b.text(_BINDING_NAME) for b in bindings) for name, bindings in bound.items()}
    live = (known[n] for ns in names.values() for n in ns if n in known and n not in written)
    constants = {name: tuple(n for b in bindings for n in _bound(b, written)) for name, bindings in bound.items()}
    weight = next((known[n].shape for n in names.get("weight", ()) if n in known), ())
    kept = {name: numbers for name, numbers in constants.items() if numbers}
    return Operation(message.text(_OPERATION_KIND), tuple(live), outputs, kept, weight)


def _tensor(message: Message) -> Tensor:
    tensor = message.message(_NAMED_TYPE).message(_TYPE_TENSOR)
    shape = tuple(
        d.message(_DIMENSION_CONSTANT).whole(_DIMENSION_SIZE) if _DIMENSION_CONSTANT in d else ANY
        for d in tensor.messages(_TENSOR_DIMENSIONS)
    )
    return Tensor(message.text(_NAMED_NAME), _KINDS.get(tensor.whole(_TENSOR_KIND), "another type"), shape)


def _bound(binding: Message, written: Mapping[str, Constant]) -> Constant:
    if _BINDING_VALUE in binding:
        return _constant(binding.message(_BINDING_VALUE))
    return written.get(binding.text(_BINDING_NAME), ())


def _constant(value: Message | None) -> Constant:
    """Return a constant's whole numbers or words; floats and weights are nobody's concern here."""
    if value is None:
        return ()
    tensor = value.message(_VALUE_NOW).message(_NOW_TENSOR)
    numbers = (*tensor.message(_TENSOR_INTS).wholes(_VALUES), *tensor.message(_TENSOR_LONGS).wholes(_VALUES))
    return (*numbers, *tensor.message(_TENSOR_STRINGS).texts(_VALUES))
