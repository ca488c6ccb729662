"""Define what the recipe and the formats hand to each other: a traced graph, a job, and what a converter made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from edgevit.devices import Device
from edgevit.errors import ConversionError
from edgevit.formats import Format
from edgevit.progress import Progress
from edgevit.spec import ImageSpec, Layout, Spec, TensorSpec, Values

Tensor = npt.NDArray[np.float32]

LARGEST_IN_HALF = "largest_value_in_fp16"
"""The note of a converter that chose what is fp16 in its file: the largest value there, on the proof's pictures."""


class Samples(Protocol):
    """Be what graphs can be run on: pictures, or a tracker's pairs."""

    def __len__(self) -> int: ...

    def rows(self, graph: str, image: ImageSpec) -> Iterator[tuple[Tensor, ...]]:
        """Yield one row of every input of a graph, in its order; the picture is laid out as ``image`` says."""


@dataclass(frozen=True, eq=False)
class Traced:
    """Hold one graph that was rewritten and traced: ``module`` is what ``program`` was made of.

    The first input is the picture; others are what another graph hands on.
    """

    name: str
    module: torch.nn.Module
    program: torch.export.ExportedProgram
    example: tuple[torch.Tensor, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    values: Values = "normalised"


@dataclass(frozen=True, eq=False)
class Job:
    """Say what a converter is to make, and where. ``calibration`` is set only where the int8 kind needs it."""

    target: Format
    precision: str
    spec: Spec
    folder: Path
    batch: int = 1
    dynamic: bool = False
    opset: int | None = None
    calibration: Samples | None = None
    model: str = ""
    device: Device | None = None
    shown: Samples | None = None
    """The pictures of the proof: a converter that chooses by what it sees looks at them too."""
    levels: bool = False
    """The file shall take grey levels and normalise by itself."""
    backend: str | None = None
    """The delegate that an ExecuTorch file is for; its default if none is asked for."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    progress: Progress | None = None

    def feeds(self, traced: Traced, samples: Samples | None = None) -> Iterator[dict[str, Tensor]]:
        """Return the calibration (or other samples) as a graph takes it: its inputs by name, a batch at a time."""
        chosen = samples or self.calibration
        if chosen is None:
            raise ConversionError("Static int8 was asked for without calibration pictures.")
        count = max(1, traced.inputs[0].shape[0])
        names = [t.name for t in traced.inputs]
        return (
            {name: np.repeat(value, count, axis=0) for name, value in zip(names, row, strict=True)}
            for row in chosen.rows(traced.name, self.spec.image)
        )


@dataclass(frozen=True)
class Converted:
    """Tell what was made: the model file, its tensors and their layout, and the tools' versions."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tools: Mapping[str, str]
    layout: Layout = "nchw"
    values: Values = "normalised"
    twin: str | None = None
    """A file of the same graph that can run here where ``file`` cannot. It is proven in its place, and again by verify:
    it stays in the bundle as the manifest's ``stand_in``."""
    engine_minimum: str | None = None
    """The oldest engine that runs this file, where that is newer than the format's own."""
    notes: Mapping[str, Any] = field(default_factory=dict)


class Exporter(Protocol):
    """Say what a format's module has."""

    convert: Callable[[Traced, Job], Converted]
