"""Define what the recipe and the formats hand to each other: a traced graph, a job, and what a converter made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from edgevit.devices import Device
from edgevit.formats import Format
from edgevit.progress import Progress
from edgevit.spec import Layout, Spec, TensorSpec, Values

from .pictures import PictureSet

Tensor = npt.NDArray[np.float32]

LARGEST_IN_HALF = "largest_value_in_fp16"
"""The note of a converter that chose what is fp16 in its file: the largest value there, on the proof's pictures."""


@dataclass(frozen=True, eq=False)
class Traced:
    """Hold one graph that was rewritten and traced: ``module`` is what ``program`` was made of."""

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
    calibration: PictureSet | None = None
    model: str = ""
    device: Device | None = None
    shown: PictureSet | None = None
    """The pictures of the proof: a converter that chooses by what it sees looks at them too."""
    levels: bool = False
    """The file shall take grey levels and normalise by itself."""
    backend: str | None = None
    """The delegate that an ExecuTorch file is for; its default if none is asked for."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    progress: Progress | None = None


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
