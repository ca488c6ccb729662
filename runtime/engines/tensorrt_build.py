"""Build TensorRT's engines of a bundle on the device that will run them, into the cache beside it.

What was built is kept only if it answers the golden sample rightly (tensorrt_trial.py). ``edgevit build`` is the door
to this; opening a bundle never comes here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from edgevit.bundle import Bundle
from edgevit.errors import UnsupportedError, UsageError
from edgevit.formats import older
from edgevit.manifest import GraphFile, Manifest
from edgevit.progress import Progress, step

from ..engine_cache import EngineCache
from .tensorrt import Place, here, newer
from .tensorrt_builder import EngineBuilder
from .tensorrt_timings import check_place, keep, read
from .tensorrt_trial import is_sampled, try_engine

MOST_ROWS = 8
"""The largest batch of a bundle whose batch may vary, unless another one is asked for: each row costs memory."""
FORMAT = "tensorrt"

_GOLDEN = "golden_relative_error"


@dataclass(frozen=True)
class BuildOptions:
    """Choose how to build. ``workspace_mb`` bounds the memory that layers may use; None leaves it to TensorRT.

    ``most_rows`` is for bundles whose batch may vary. ``timing_cache`` is a file that several bundles may share.
    """

    workspace_mb: int | None = None
    most_rows: int | None = None
    timing_cache: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Built:
    """Tell of one engine: where it lies, what it is for, and whether it was there already.

    ``golden_relative_error`` is of its answer to the golden sample, None for a graph that has none.
    """

    graph: str
    path: Path
    gpu: str
    tensorrt: str
    size_bytes: int
    seconds: float
    reused: bool
    golden_relative_error: float | None
    note: str = ""


def build(bundle: Bundle, options: BuildOptions | None = None, progress: Progress | None = None) -> tuple[Built, ...]:
    """Build the engine of each graph, or find it in the cache beside the bundle. Other formats are refused."""
    manifest, chosen = bundle.manifest, options or BuildOptions()
    if manifest.format != FORMAT:
        raise UnsupportedError(f"{bundle.path.name} is {manifest.format}: only {FORMAT} bundles are built on a device.")
    if chosen.most_rows and not any(_varies(graph) for graph in manifest.graphs.values()):
        raise UsageError(
            f"{bundle.path.name} has a fixed batch, so there is no largest one to choose. Leave --most-rows out, or "
            "export with --dynamic."
        )
    if chosen.timing_cache is not None:
        check_place(chosen.timing_cache)
    place = here()
    _check_release(bundle, place)
    return tuple(_build(bundle, name, graph, place, chosen, progress) for name, graph in manifest.graphs.items())


def _check_release(bundle: Bundle, place: Place) -> None:
    """Raise if the file was made for a newer TensorRT: its opset and operators are those of that one's parser."""
    manifest = bundle.manifest
    needed = str((manifest.verification.get("file") or {}).get("tensorrt", "")).partition(" ")[0]
    if needed and older(place.version, needed):
        release = ".".join(place.version.split(".")[:2])
        raise UnsupportedError(
            f"{bundle.path.name} was made for TensorRT {needed} or newer, and {place.version} is here. "
            f'{newer(needed)}; or, to stay with {release}, write tensorrt = "{release}" into a copy of edgevit/devices/'
            f"{manifest.device or 'NAME'}.toml and type: edgevit export {manifest.model} --device COPY.toml"
        )


def _build(
    bundle: Bundle, name: str, graph: GraphFile, place: Place, options: BuildOptions, progress: Progress | None
) -> Built:
    manifest, cache = bundle.manifest, EngineCache(bundle.path)
    rows = (options.most_rows or MOST_ROWS) if _varies(graph) else 0
    asked = {"workspace_mb": options.workspace_mb or 0, "most_rows": rows}
    key = place.key(manifest.files[graph.file].sha256, manifest.precision, **asked)
    began = time.perf_counter()
    with cache.building(progress):
        found = None if options.force else cache.exact(key)
        if found is not None and _was_tried(manifest, name, error := found.record.get(_GOLDEN, "")):
            return Built(name, found.path, place.gpu.name, place.version, len(found.data), 0.0, True, error)
        timings = options.timing_cache or cache.folder / f"timings-sm{place.gpu.compute}-{place.version}.bin"
        made = EngineBuilder(place, graph, manifest.precision, rows, options.workspace_mb, progress).build(
            bundle.path / graph.file, read(timings)
        )
        try:
            error = _tried(bundle, name, place, made.engine, progress)
            seconds = time.perf_counter() - began
            path = cache.store(key, made.engine, {"seconds": round(seconds, 1), _GOLDEN: error})
        finally:  # they spare minutes of the next try, too
            note = keep(timings, made.timings)
    return Built(name, path, place.gpu.name, place.version, len(made.engine), seconds, False, error, note)


def _was_tried(manifest: Manifest, name: str, error: object) -> TypeGuard[float | None]:
    """Tell whether a record says what came of the trial, or that there was none where there can be none."""
    return isinstance(error, int | float) or (error is None and not is_sampled(manifest, name))


def _tried(bundle: Bundle, name: str, place: Place, engine: bytes, progress: Progress | None) -> float | None:
    """Hold an engine against the golden sample of its graph, if there is one."""
    if not is_sampled(bundle.manifest, name):
        return None
    with step(progress, "try the engine", "golden sample"):
        return float(f"{try_engine(bundle, name, place, engine):.3g}")


def _varies(graph: GraphFile) -> bool:
    return any(-1 in tensor.shape for tensor in graph.inputs)


def summary(built: Built) -> Mapping[str, Any]:
    """Return what one engine is, as JSON data."""
    return {**vars(built), "path": str(built.path), "seconds": round(built.seconds, 1)}
