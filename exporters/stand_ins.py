"""Open a produced file for its proof: with the format's own engine, or with a stand-in where that cannot run here.

A Core ML package is evaluated operation by operation off a Mac; TensorRT builds engines on the device alone, so its
ONNX file is run by ONNX Runtime. The manifest says which it was, and how far that proves the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.formats import Format, find_format
from edgevit.manifest import GraphFile, StandIn
from edgevit.registry import door
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
    """Open a file as verification does: exact fp32 arithmetic wherever the engine has a choice."""
    target = find_format(format_name)
    return _OPENERS.get(target.name, _own)(target, path, graph)


def open_made(format_name: str, folder: Path, made: Made, graph: GraphFile) -> Opened:
    """Open what a converter has just made: the file, or the twin that it left to be proven in the file's place."""
    if made.twin is None:
        return open_file(format_name, folder / made.file, graph)
    title = find_format(format_name).title
    engine = open_file(format_name, folder / made.twin, graph).engine
    return Opened(
        InPlace(engine, "the device's"), "graph-only", StandIn(f"{title} on the CPU, from the same graph", "executed")
    )


def _own(target: Format, path: Path, graph: GraphFile) -> Opened:
    return Opened(load_engine(target.engine, path, graph, EngineOptions()), "executed")


def _coreml(target: Format, path: Path, graph: GraphFile) -> Opened:
    if sys.platform == "darwin":
        return _own(target, path, graph)
    return Opened(door("edgevit.exporters.mil:load")(path, graph, EngineOptions()), "interpreted")


def _tensorrt(target: Format, path: Path, graph: GraphFile) -> Opened:
    engine = load_engine("onnx", path, graph, EngineOptions())
    return Opened(InPlace(engine, target.title), "graph-only", StandIn("ONNX Runtime", "executed"))


_OPENERS: dict[str, Callable[[Format, Path, GraphFile], Opened]] = {"coreml": _coreml, "tensorrt": _tensorrt}
