"""Read the arrays that are stored in a bundle as its evidence, and tell how far an answer is from another. numpy only.

The exporters write them (proof.py) and verify with them; a device holds the engine that it built against them.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from .bundle import Bundle
from .errors import BundleError, reason
from .manifest import Manifest
from .spec import LONGEST_SIDE

_MOST_FIRST = LONGEST_SIDE
"""Rows of a picture, or pictures of a batch."""
_MOST_BYTES = 2 << 30
_CHUNK_BYTES = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError,
           KeyError, IndexError, OverflowError, OSError)  # fmt: skip
"""What zipfile and numpy raise on damaged files."""

Outputs = npt.NDArray[np.float32]


def relative_errors(reference: Outputs, outputs: Outputs) -> npt.NDArray[np.float64]:
    """Return ``max|d| / max|reference|`` for each picture; a reference of zeros makes any difference infinite."""
    difference = np.abs(outputs.astype(np.float64) - reference).reshape(len(reference), -1).max(1)
    scale = np.abs(reference.astype(np.float64)).reshape(len(reference), -1).max(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / scale)


def read_arrays(bundle: Bundle, which: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Read the named arrays of ``golden`` or ``reference``; nothing is ever unpickled.

    Types and shapes are held against the manifest before any data is read, so a hostile file can fill no memory.
    """
    told = getattr(bundle.manifest, which)
    path = bundle.file(told["file"])
    needed = {"golden": "relative_tolerance", "reference": "noise_relative"}[which]
    if not isinstance(told.get(needed), (int, float)):
        raise BundleError(f"{bundle.path}: the manifest's '{which}' says no {needed}. Export the model again.")
    try:
        with zipfile.ZipFile(path) as stored:
            arrays = tuple(_read_array(stored, name, *_promised(bundle, name)) for name in names)
        if len({len(a) for name, a in zip(names, arrays, strict=True) if name != "picture"}) > 1:
            raise ValueError("its arrays are not of as many rows")
    except (*_DAMAGE, MemoryError) as exc:
        raise BundleError(
            f"{path}: the {which} sample cannot be read ({reason(exc)}). Export the model again."
        ) from exc
    return arrays


def _promised(bundle: Bundle, name: str) -> tuple[str, tuple[int, ...]]:
    """Return kind and shape of a stored array, -1 for what may vary."""
    if bundle.manifest.spec.track is not None:
        return _promised_of_tracker(bundle.manifest, name)
    graph, image = bundle.manifest.graphs["main"], bundle.manifest.spec.image
    return {
        "picture": ("u", (-1, -1, 3)),
        "pixels": ("u", (-1, *image.size_hw, 3)),
        "input": ("u" if image.values == "levels" else "f", (-1, *graph.inputs[0].shape[1:])),
        "output": ("f", (-1, *graph.outputs[0].shape[1:])),
        "outputs": ("f", (-1, *graph.outputs[0].shape[1:])),
        "answers": ("f", (-1, *graph.outputs[0].shape[1:])),
    }[name]


def _promised_of_tracker(manifest: Manifest, name: str) -> tuple[str, tuple[int, ...]]:
    """Return the same for a tracker, whose tensors are stored under ``graph.tensor`` or ``outputs.tensor``."""
    track = manifest.spec.track
    assert track is not None
    pictures = {
        "picture": (-1, -1, 3),
        "templates": (-1, *track.template_size_hw, 3),
        "searches": (-1, *track.search_size_hw, 3),
    }
    if name in pictures:
        return "u", pictures[name]
    if name == "box_xywh":
        return "f", (1, 4)
    owner, _, tensor = name.partition(".")
    graph = manifest.graphs[owner if owner in manifest.graphs else "track"]
    if tensor == graph.inputs[0].name:
        return ("u" if manifest.spec.image.values == "levels" else "f"), graph.inputs[0].shape
    (shape,) = (t.shape for t in graph.outputs if t.name == tensor)
    return "f", (-1, *shape[1:])


def _read_array(stored: zipfile.ZipFile, name: str, kind: str, promised: tuple[int, ...]) -> npt.NDArray[Any]:
    """Read one .npy member: its header first, then exactly the bytes that the header needs, then no more."""
    with stored.open(f"{name}.npy") as stream:
        version = npy.read_magic(stream)
        header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if header is None:
            raise ValueError(f"'{name}' is of the unknown npy version {version}")
        try:
            shape, by_columns, dtype = header(stream)
        except Exception as exc:  # numpy reads the header as Python text, and lets all that can go wrong there through
            raise ValueError(f"'{name}' has no readable header: {reason(exc)}") from exc
        if dtype.kind != kind or (kind == "u" and dtype.itemsize != 1):
            raise ValueError(f"'{name}' holds {dtype}, not {'uint8' if kind == 'u' else 'floats'}")
        fits = len(shape) == len(promised) and all(w in (-1, n) for n, w in zip(shape, promised, strict=True))
        size_bytes = math.prod(shape) * dtype.itemsize
        if not fits or min(shape) < 1 or shape[0] > _MOST_FIRST or size_bytes > _MOST_BYTES:
            raise ValueError(f"'{name}' has the shape {shape}, and the manifest promises {promised}")
        data = bytearray()
        while len(data) < size_bytes and (chunk := stream.read(min(_CHUNK_BYTES, size_bytes - len(data)))):
            data += chunk
        if len(data) != size_bytes or stream.read(1):
            raise ValueError(f"'{name}' is not as long as its header says")
    array: npt.NDArray[Any] = np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
    if kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"'{name}' holds NaN or infinity")
    return array
