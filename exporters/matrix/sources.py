"""Digest edgevit's own code that a format's cells depend on, so that a change of one exporter makes its cells anew.

It covers the format's files in exporters/ and exporters/placement/ and what all formats share: rewrites, tracing,
calibration, half-precision rules and the limits of the gates. It does not see what code means: a new comment makes
cells anew too. The other rooms (models, engines) are told by the version alone.
"""

from __future__ import annotations

import hashlib
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


def code_of(format_name: str, root: Path = HERE) -> str:
    """Return the digest of a format's code, 12 hex digits.

    ``root`` is the folder that holds ``exporters`` and ``kernels``: any checkout, or an installed ``edgevit``.
    """
    digest = hashlib.sha256()
    for name, path in files_of(format_name, root):
        data = path.read_bytes()
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def files_of(format_name: str, root: Path = HERE) -> Iterator[tuple[str, Path]]:
    """Yield the files that count, each with its name below the root; the same order in every checkout."""
    patterns = (*_SHARED, *(f"exporters/{pattern}" for pattern in _OWN[format_name]))
    found = {path.relative_to(root).as_posix(): path for pattern in patterns for path in root.glob(pattern)}
    if not found:
        raise InputError(f"{root} holds no code of edgevit. Name the folder that holds 'exporters' and 'kernels'.")
    yield from sorted(found.items())
