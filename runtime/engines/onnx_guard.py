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

# Field numbers that lead from a ModelProto to every tensor and every node.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_FUNCTION_NODE = 7
_NODE_ATTRIBUTE, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_T, _ATTRIBUTE_G, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_KINDS = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_FUNCTIONS: "function"},
    "graph": {_GRAPH_NODE: "node", _GRAPH_INITIALIZER: "tensor", _GRAPH_SPARSE: "sparse"},
    "function": {_FUNCTION_NODE: "node"},
    "node": {_NODE_ATTRIBUTE: "attribute", _NODE_DOMAIN: "domain"},
    "attribute": {
        _ATTRIBUTE_T: "tensor",
        _ATTRIBUTE_G: "graph",
        _ATTRIBUTE_TENSORS: "tensor",
        _ATTRIBUTE_GRAPHS: "graph",
    },
    "sparse": {_SPARSE_VALUES: "tensor", _SPARSE_INDICES: "tensor"},
    "tensor": {_TENSOR_EXTERNAL: "external"},
}
_DEEPEST = 64


def check_onnx(path: Path) -> None:
    """Raise unless the file's weights lie in its own folder and all its operators are of known domains."""
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
            _check_location(path, text)


def _check_location(path: Path, location: str) -> None:
    try:
        check_names([location])
    except UnsafePathError as exc:
        raise UnsafePathError(f"{path.name} keeps weights in '{location}', which lies outside the bundle.") from exc
    if (path.parent / location).is_symlink():
        raise UnsafePathError(f"{path.name} keeps weights in '{location}', which is a symlink.")


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
