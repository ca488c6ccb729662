"""Open a produced file for its proof: with the format's own engine, or with a stand-in where that cannot run here.

A Core ML package is evaluated operation by operation off a Mac; TensorRT builds engines on the device alone, so
elsewhere its ONNX file is run by ONNX Runtime; an ExecuTorch file for a phone's delegate has a twin for the CPU beside
it, made of the same graph. The manifest says which it was, and how far that proves the file.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.errors import EnvironmentFault, MissingDependencyError, UnsupportedError
from edgevit.formats import Format, find_format
from edgevit.manifest import GraphFile, StandIn
from edgevit.registry import door
from edgevit.runtime.engine_cache import EngineCache
from edgevit.runtime.engines import Engine, EngineOptions, load_engine


@dataclass(frozen=True)
class Opened:
    """Hold an engine that can run the file here, and what its answers prove."""

    engine: Engine
    proof: str
    stand_in: StandIn | None = None


class Made(Protocol):
    """Name what a converter made."""

    @property
    def file(self) -> str: ...

    @property
    def twin(self) -> str | None: ...


class InPlace:
    """Be another engine, and say in whose place."""

    def __init__(self, engine: Engine, title: str) -> None:
        self.description = f"{engine.description}, standing in for {title}"
        self.run, self.close = engine.run, engine.close


def open_file(format_name: str, path: Path, graph: GraphFile) -> Opened:
    """Open a bundle's file as verification does: exact fp32 arithmetic wherever the engine has a choice."""
    return _opened(find_format(format_name), path, graph, graph.stand_in.file if graph.stand_in else None)


def open_made(format_name: str, folder: Path, made: Made, graph: GraphFile) -> Opened:
    """Open what a converter has just made, or the twin that it made to be run where the file cannot."""
    return _opened(find_format(format_name), folder / made.file, graph, made.twin)


def _opened(target: Format, path: Path, graph: GraphFile, twin: str | None) -> Opened:
    try:
        return _OPENERS.get(target.name, _own)(target, path, graph)
    except UnsupportedError:  # this machine has not the delegate that the file is for
        if twin is None:
            raise
    root = path.parents[graph.file.count("/")]
    engine = _own(target, root / twin, graph).engine
    stand_in = StandIn(f"{target.title} on the CPU, from the same graph", "executed", twin)
    return Opened(InPlace(engine, "the device's"), "graph-only", stand_in)


def _own(target: Format, path: Path, graph: GraphFile) -> Opened:
    return Opened(load_engine(target.engine, path, graph, EngineOptions()), "executed")


def _coreml(target: Format, path: Path, graph: GraphFile) -> Opened:
    if sys.platform == "darwin":
        return _own(target, path, graph)
    return Opened(door("edgevit.exporters.mil:load")(path, graph, EngineOptions()), "interpreted")


def _tensorrt(target: Format, path: Path, graph: GraphFile) -> Opened:
    """Run the engine that was built here; where none was, the ONNX file that engines are built of."""
    bundle = path.absolute().parents[graph.file.count("/")]
    if EngineCache(bundle).holds_any():  # TensorRT and CUDA are not even looked for before that
        with contextlib.suppress(EnvironmentFault):  # what is there was built on another machine
            return _own(target, path, graph)
    try:
        engine = load_engine("onnx", path, graph, EngineOptions())
    except MissingDependencyError as exc:
        raise EnvironmentFault(f"{exc}; or, on the bundle's device, type: edgevit build {bundle}") from exc
    return Opened(InPlace(engine, target.title), "graph-only", StandIn("ONNX Runtime", "executed"))


_OPENERS: dict[str, Callable[[Format, Path, GraphFile], Opened]] = {"coreml": _coreml, "tensorrt": _tensorrt}
