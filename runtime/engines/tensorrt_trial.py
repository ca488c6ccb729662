"""Hold an engine that was just built against the bundle's golden sample: what was proven elsewhere is the file only.

A builder chooses kernels by their speed, and before TensorRT 10 their types as well; so an engine of a right file may
still be wrong. One picture through it, seconds after minutes of building, tells. A tracker's two engines are held each
against its own graph's answers: what the first one hands on is taken from the sample, so neither is blamed for both.
"""

from __future__ import annotations

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import BadOutputError, RefusedError
from edgevit.manifest import Manifest
from edgevit.samples import read_arrays, relative_errors

from . import Engine, Tensor, run_batch, run_checked
from .tensorrt import Place, open_engine

_OF_TRACKER, _OF_OTHERS = ("template", "track"), ("main",)
_LARGEST_LOGIT = 50.0

_NEAREST = {"fp32": "--format onnx", "fp16": "--format tensorrt --precision fp32"}
_ELSE = "--format tensorrt --precision fp16"


def is_sampled(manifest: Manifest, name: str) -> bool:
    """Tell whether the golden sample holds a graph's answer."""
    return name in (_OF_TRACKER if manifest.spec.track else _OF_OTHERS)


def try_engine(bundle: Bundle, name: str, place: Place, data: bytes) -> float:
    """Return how far an engine's answer to the golden sample is from the stored one; raise if that is too far."""
    manifest, graph = bundle.manifest, bundle.manifest.graphs[name]
    off = _off_tracker if manifest.spec.track else _off
    engine = open_engine(place, data, graph, bundle.path, manifest.precision)
    try:
        error = off(bundle, name, engine)
    except BadOutputError as exc:
        raise _refused(bundle, name, place, "with what is no number") from exc
    finally:
        engine.close()
    tolerance = float(manifest.golden["relative_tolerance"])
    if not error <= tolerance:
        raise _refused(bundle, name, place, f"{error:.2g} off, where {tolerance:g} is allowed")
    return error


def _off(bundle: Bundle, name: str, engine: Engine) -> float:
    tensor, wanted = read_arrays(bundle, "golden", ("input", "output"))
    got = run_batch(engine, bundle.manifest.graphs[name], tensor)
    return float(np.median(relative_errors(wanted, got)))


def _off_tracker(bundle: Bundle, name: str, engine: Engine) -> float:
    """Return the error of the output that is furthest off; a score is a logit, so its probability is compared."""
    manifest, graph = bundle.manifest, bundle.manifest.graphs[name]
    given = {t.name: f"{name}.{t.name}" for t in graph.inputs} | _handed_on(manifest, name)
    wanted = {t.name: f"{name}.{t.name}" for t in graph.outputs}
    keys = (*given.values(), *wanted.values())
    sample = dict(zip(keys, read_arrays(bundle, "golden", keys), strict=True))
    got = run_checked(engine, graph, {tensor: sample[key] for tensor, key in given.items()})
    score = manifest.spec.track.score if manifest.spec.track else None
    return max(_apart(sample[key], got[tensor], is_score=tensor == score) for tensor, key in wanted.items())


def _handed_on(manifest: Manifest, name: str) -> dict[str, str]:
    """Return the graph's inputs that are another graph's outputs, with the names under which the sample has those."""
    pairs = ((pair["from"], *pair["to"].partition(".")[::2]) for pair in manifest.state)
    return {tensor: source for source, owner, tensor in pairs if owner == name}


def _apart(wanted: Tensor, got: Tensor, *, is_score: bool) -> float:
    if is_score:
        sure, told = (1 / (1 + np.exp(-np.clip(v, -_LARGEST_LOGIT, _LARGEST_LOGIT))) for v in (wanted, got))
        return float(np.abs(sure - told).max())
    return float(relative_errors(wanted, got).max())


def _refused(bundle: Bundle, name: str, place: Place, how: str) -> RefusedError:
    m = bundle.manifest
    part = f"'{name}' of {bundle.path.name}" if len(m.graphs) > 1 else bundle.path.name
    return RefusedError(
        f"The engine that TensorRT {place.version} built of {part} answers the golden sample {how}, so it "
        f"was not kept. Type: edgevit export {m.model} {_NEAREST.get(m.precision, _ELSE)}"
    )
