"""Evaluate a Core ML package where there is no Core ML: the stand-in engine of a proof off a Mac. Torch computes.

It says what the program answers, not what a Neural Engine's own rounding makes of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import EngineError, missing, reason
from edgevit.manifest import GraphFile

if TYPE_CHECKING:
    from .mil_program import MilProgram

Tensor = npt.NDArray[Any]


def load(path: Path, graph: GraphFile, options: object) -> MilEngine:
    """Open a package; ``options`` are an engine's, and have nothing to say here: torch keeps its threads."""
    try:
        from .mil_program import read
    except ImportError as exc:
        raise missing(str(exc.name or "torch"), "Evaluating a Core ML package", "models") from exc
    return MilEngine(read(path, [t.name for t in graph.outputs]))


class MilEngine:
    """Hold one program; it answers as an engine does."""

    def __init__(self, program: MilProgram) -> None:
        self._program: MilProgram | None = program
        kind = "fp16, rounded after every operation" if program.half else "fp32"
        self.description = f"evaluator of Core ML programs, {len(program.nodes)} operations, {kind}"

    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, in the graph's order."""
        import torch

        if self._program is None:
            raise EngineError("This Core ML program was closed; load the bundle again.")
        try:
            given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}
        except (TypeError, ValueError) as exc:  # torch has not every type of numbers that numpy has
            raise EngineError(
                f"The evaluator cannot take such an input: {reason(exc)}. Give uint8 or float32."
            ) from exc
        return {name: value.numpy() for name, value in self._program.evaluate(given).items()}

    def close(self) -> None:
        """Give the memory back."""
        self._program = None
