"""Digest edgevit's own code that a format's cells depend on, so that a change of one exporter makes its cells anew.

It covers the format's files in exporters/ and exporters/placement/ and what all formats share: rewrites, tracing,
calibration, half-precision rules and the limits of the gates. Comments, docstrings and empty lines do not count. The
other rooms (models, engines) are told by the version alone.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import edgevit
from edgevit.errors import InputError

HERE = Path(edgevit.__file__).parent
"""The folder that holds ``exporters`` and ``kernels``: links to the rooms in a checkout, the rooms where installed."""

_SHARED = (
    "kernels/rewrites/*.py",
    "exporters/trace.py",
    "exporters/quantize.py",
    "exporters/half.py",
    "exporters/agreement.py",
)
_OWN: Mapping[str, tuple[str, ...]] = {
    "onnx": ("onnx*.py", "placement/onnx*.py"),
    "litert": ("litert*.py", "tflite*.py", "placement/litert*.py", "placement/tflite*.py"),
    "openvino": ("openvino*.py", "placement/openvino*.py"),
    "coreml": ("coreml*.py", "mil*.py", "placement/coreml*.py", "placement/mil*.py"),
    "executorch": ("executorch*.py", "placement/executorch*.py"),
    "tensorrt": ("tensorrt*.py", "onnx*.py", "placement/tensorrt*.py", "placement/onnx_file.py"),
}

_Span = tuple[int, int, int, int]
"""A piece of a text: the row and byte where it starts, and those where it ends."""


def code_of(format_name: str, root: Path = HERE) -> str:
    """Return the digest of a format's code, 12 hex digits.

    ``root`` is the folder that holds ``exporters`` and ``kernels``: any checkout, or an installed ``edgevit``.
    """
    digest = hashlib.sha256()
    for name, path in files_of(format_name, root):
        data = code_alone(path.read_text(encoding="utf-8")).encode()
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def code_alone(source: str) -> str:
    """Return a module's text without what is said in it: comments, strings that stand alone, empty lines.

    The text is cut, not written anew: every Python version cuts the same.
    """
    rows = source.encode().split(b"\n")
    for first, start, last, end in sorted((*_comments(source), *_lone_strings(source)), reverse=True):
        rows[first : last + 1] = [rows[first][:start] + rows[last][end:]]
    return "".join(f"{row.rstrip().decode()}\n" for row in rows if row.strip())


def _lone_strings(source: str) -> Iterator[_Span]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            yield node.lineno - 1, node.col_offset, node.end_lineno - 1, node.end_col_offset


def _comments(source: str) -> Iterator[_Span]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start[0] - 1, len(token.line[: token.start[1]].encode())
            yield row, column, row, column + len(token.string.encode())


def files_of(format_name: str, root: Path = HERE) -> Iterator[tuple[str, Path]]:
    """Yield the files that count, each with its name below the root; the same order in every checkout."""
    patterns = (*_SHARED, *(f"exporters/{pattern}" for pattern in _OWN[format_name]))
    found = {path.relative_to(root).as_posix(): path for pattern in patterns for path in root.glob(pattern)}
    if not found:
        raise InputError(f"{root} holds no code of edgevit. Name the folder that holds 'exporters' and 'kernels'.")
    yield from sorted(found.items())
