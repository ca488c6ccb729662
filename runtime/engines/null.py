"""Answer without an engine: seeded numbers of the promised shapes, so that every layer above can be tested anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevit.errors import EngineError
from edgevit.manifest import GraphFile

from . import EngineOptions, Tensor, Tensors


def load(path: Path, graph: GraphFile, options: EngineOptions) -> NullEngine:
    """Open nothing; the file is not even read."""
    return NullEngine(graph)


class NullEngine:
    """Give the same answer to the same input, and another one to another."""

    description = "null engine (no inference; numbers without meaning)"

    def __init__(self, graph: GraphFile) -> None:
        self._graph: GraphFile | None = graph

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._graph is None:
            raise EngineError("The null engine was closed; load the bundle again.")
        first = inputs[self._graph.inputs[0].name]
        seed = int(np.abs(first, dtype=np.float64).sum() * 1e3) % 2**32
        numbers = np.random.default_rng(seed)
        shapes = {t.name: [len(first) if n == -1 else n for n in t.shape] for t in self._graph.outputs}
        return {name: numbers.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}

    def close(self) -> None:
        self._graph = None
