"""Look into an ONNX file without the onnx package: refuse weights outside the file's folder, and foreign operators.

An ONNX file may name any path as the place of its weights ("external data"), and operators that only a native library
of the sender's could run. Both are read here from the protobuf bytes (field numbers of onnx.proto3), before an engine
sees the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgevit.errors import BundleError, UnsafePathError
from edgevit.manifest import check_names

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"})

_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_KINDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {_TENSOR_EXTERNAL: "external"},
}
"""Message -> field number -> what lies there: every way from a ModelProto to a tensor and to a node."""
_LARGEST_KEY = 0xFFFF_FFFF
_DEEPEST = 64


def check_onnx(path: Path, files: frozenset[Path] | None = None) -> None:
    """Raise unless the file's weights lie in ``files`` (None: its own folder) and its operators are of known domains.

    Weights named from inside are plain files: no part of their path is a symlink.
    """
    try:
        data = memoryview(path.read_bytes())
        found = list(_walk(data, "model", 0))
    except (IndexError, ValueError, OSError) as exc:
        raise BundleError(f"{path.name} is not a readable ONNX file ({exc}). Copy the bundle again.") from exc
    for kind, text in found:
        if kind == "domain" and text not in _DOMAINS:
            raise BundleError(
                f"{path.name} needs operators of '{text}', which only a foreign library could run; edgevit loads none."
            )
        if kind == "location":
            _check_location(path, text, files)


def _check_location(path: Path, location: str, files: frozenset[Path] | None) -> None:
    who = f"{path.name} keeps weights in '{location[:80]}'"
    try:
        check_names([location])
    except UnsafePathError as exc:
        raise UnsafePathError(f"{who}, which lies outside the bundle.") from exc
    parts = location.split("/")
    if any(path.parent.joinpath(*parts[: n + 1]).is_symlink() for n in range(len(parts))):
        raise UnsafePathError(f"{who}, which is a symlink.")
    file = path.parent / location
    if (file not in files) if files is not None else not file.is_file():
        raise UnsafePathError(f"{who}, which is not among the files of the bundle.")


def _walk(data: memoryview, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        raise ValueError("graphs nested too deep")
    if kind == "external":
        entry = {number: bytes(value).decode("utf-8") for number, value in _fields(data)}
        if entry.get(_ENTRY_KEY) == "location":
            yield "location", entry.get(_ENTRY_VALUE, "")
        return
    for number, value in _fields(data):
        inner = _KINDS[kind].get(number)
        if inner == "domain":
            yield "domain", bytes(value).decode("utf-8")
        elif inner is not None:
            yield from _walk(value, inner, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of the length-delimited fields of one protobuf message; others are stepped over."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        if key > _LARGEST_KEY or key < 8:  # engines keep 32 bits of a key, so a longer one is another field to them
            raise ValueError("a field number that no field has")
        wire = key & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field is cut off")
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"unknown wire type {wire}")
    if at != end:
        raise ValueError("a field is cut off")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
