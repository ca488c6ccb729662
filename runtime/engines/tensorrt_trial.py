"""Hold an engine that was just built against the bundle's golden sample: what was proven elsewhere is the file only.

A builder chooses kernels by their speed, and before TensorRT 10 their types as well; so an engine of a right file may
still be wrong. One picture through it, seconds after minutes of building, tells.
"""

from __future__ import annotations

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import BadOutputError, RefusedError
from edgevit.manifest import GraphFile
from edgevit.samples import read_arrays, relative_errors

from . import run_batch
from .tensorrt import Place, open_engine

SAMPLED_GRAPH = "main"
"""The graph that the golden sample is of."""

_NEAREST = {"fp32": "--format onnx", "fp16": "--format tensorrt --precision fp32"}
_ELSE = "--format tensorrt --precision fp16"


def try_engine(bundle: Bundle, graph: GraphFile, place: Place, data: bytes) -> float:
    """Return how far an engine's answer to the golden sample is from the stored one; raise if that is too far."""
    manifest = bundle.manifest
    tensor, wanted = read_arrays(bundle, "golden", ("input", "output"))
    engine = open_engine(place, data, graph, bundle.path, manifest.precision)
    try:
        got = run_batch(engine, graph, tensor)
    except BadOutputError as exc:
        raise _refused(bundle, place, "with what is no number") from exc
    finally:
        engine.close()
    error, tolerance = float(np.median(relative_errors(wanted, got))), float(manifest.golden["relative_tolerance"])
    if not error <= tolerance:
        raise _refused(bundle, place, f"{error:.2g} off, where {tolerance:g} is allowed")
    return error


def _refused(bundle: Bundle, place: Place, how: str) -> RefusedError:
    m = bundle.manifest
    return RefusedError(
        f"The engine that TensorRT {place.version} built of {bundle.path.name} answers the golden sample {how}, so it "
        f"was not kept. Type: edgevit export {m.model} {_NEAREST.get(m.precision, _ELSE)}"
    )
