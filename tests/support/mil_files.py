"""Write small Core ML packages for tests byte by byte: no coremltools, whose import alone costs seconds.

The numbers are those of Apple's Model.proto and MIL.proto; test_placement_coreml.py holds the reader of such files
against coremltools' own once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_KINDS = {"bool": 1, "string": 2, "fp16": 10, "fp32": 11, "int8": 21, "int32": 23}
_OPSET = "CoreML7"


@dataclass(frozen=True)
class Made:
    """Say one operation and its only result; ``constants`` are whole numbers or words."""

    kind: str
    inputs: Mapping[str, str]
    name: str
    shape: tuple[int, ...]
    dtype: str = "fp16"
    constants: Mapping[str, tuple[int, ...] | str] = field(default_factory=dict)
    weight: tuple[int, ...] = ()


def save(package: Path, operations: Sequence[Made], shape: tuple[int, ...], dtype: str = "fp16") -> Path:
    """Write a package whose program takes ``image``; a dimension of -1 is one that varies."""
    block = b"".join(_message(3, data) for made in operations for data in _written(made))
    held = _text(2, _OPSET) + _message(3, _text(1, _OPSET) + _message(2, block))
    function = _message(1, _named("image", dtype, shape)) + held
    program = _number(1, 1) + _message(2, _text(1, "main") + _message(2, function))
    folder = package / "Data" / "com.apple.CoreML"
    folder.mkdir(parents=True)
    (folder / "model.mlmodel").write_bytes(_number(1, 8) + _message(502, program))
    return package


def _written(made: Made) -> list[bytes]:
    constants = [_const(f"{made.name}_{key}", value) for key, value in made.constants.items()]
    names = {**made.inputs, **{key: f"{made.name}_{key}" for key in made.constants}}
    if made.weight:
        name = f"{made.name}_weight"
        constants.append(_text(1, "const") + _message(3, _named(name, "fp16", made.weight)))
        names["weight"] = name
    inputs = b"".join(
        _message(2, _text(1, key) + _message(2, _message(1, _text(1, name)))) for key, name in names.items()
    )
    return [*constants, _text(1, made.kind) + inputs + _message(3, _named(made.name, made.dtype, made.shape))]


def _const(name: str, value: tuple[int, ...] | str) -> bytes:
    is_text = isinstance(value, str)
    shape = () if isinstance(value, str) else (len(value),)
    packed = _text(1, value) if isinstance(value, str) else _message(1, b"".join(map(_varint, value)))
    tensor, kind = _message(4 if is_text else 2, packed), "string" if is_text else "int32"
    held = _message(3, _message(1, tensor))
    return _text(1, "const") + _message(3, _named(name, kind, shape)) + _message(5, _text(1, "val") + _message(2, held))


def _named(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_message(3, _message(2, b"") if n < 0 else _message(1, _number(1, n))) for n in shape)
    tensor = _number(1, _KINDS[dtype]) + _number(2, len(shape)) + sides
    return _text(1, name) + _message(2, _message(1, tensor))


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
