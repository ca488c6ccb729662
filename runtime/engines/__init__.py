"""Open a model file with the engine of its format. One engine a file; each is imported when it is first used.

An engine module has one function, ``load(path, graph, options) -> Engine``. Engines translate their own exceptions to
``EngineError`` at this door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevit.errors import UsageError
from edgevit.manifest import GraphFile
from edgevit.registry import Registry

Tensor = npt.NDArray[Any]
Tensors = Mapping[str, Tensor]

ENGINES = Registry(
    "engine",
    {name: f"edgevit.runtime.engines.{name}" for name in ("null", "onnx", "litert", "openvino")},
    ask="edgevit doctor",
)


@dataclass(frozen=True)
class EngineOptions:
    """Choose how an engine runs. ``threads`` None leaves the choice to the engine; ``precision`` None means exact fp32."""

    threads: int | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise UsageError(f"threads must be from 1 to 1024, not {self.threads}.")


class Engine(Protocol):
    """Run one graph."""

    description: str
    """Engine, version and the precision that is executed, for people to read."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """Return the outputs by name, in the graph's order."""

    def close(self) -> None:
        """Give the memory back; a closed engine cannot run."""


def load_engine(name: str, path: Path, graph: GraphFile, options: EngineOptions) -> Engine:
    """Open a model file with the named engine."""
    engine: Engine = ENGINES.load(name).load(path, graph, options)
    return engine


def check_outputs(outputs: Tensors, graph: GraphFile, who: str) -> None:
    """Raise unless every output is there, finite and of the promised shape: anything else is never a result."""
    from edgevit.errors import BadOutputError

    for spec in graph.outputs:
        value = outputs.get(spec.name)
        if value is None:
            raise BadOutputError(f"{who} gave no output '{spec.name}'; it gave {', '.join(outputs) or 'none'}.")
        fits = len(value.shape) == len(spec.shape) and all(
            want in (-1, got) for want, got in zip(spec.shape, value.shape, strict=True)
        )
        if not fits:
            raise BadOutputError(f"{who} gave '{spec.name}' the shape {value.shape}; the bundle promises {spec.shape}.")
        if not np.isfinite(value).all():
            raise BadOutputError(f"{who} gave NaN or infinity in '{spec.name}'; the answer was thrown away.")
