"""Look into a Core ML program layer by layer: what leaves the range of fp16, and which layer is the first to go wrong.

coreml_camera.py's trace and the package call their layers the same, so each can be held against torch by name. After
every comparison the evaluator goes on with torch's value: the error that is told of a layer is its own, not what it
inherited, so one changed weight is found where it stands.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from edgevit.errors import EngineError
from edgevit.spec import Spec

from .coreml_camera import camera_program, intake_of
from .half import LARGEST_HALF
from .mil_program import MilProgram, Node, Promise, read
from .recipe import Traced

Pixels = npt.NDArray[np.uint8]
Tensor = torch.Tensor

_HALF_NAME = "_cast_fp16"
_JUMP = 10.0
"""How many times the middle error of all layers an error must be to be called a jump."""
_LEAST_JUMP = {"fp32": 1e-4, "fp16": 2e-2, "int8": 5e-2, "pal6": 0.15, "w8a8": 0.2, "int4": 0.6}
"""And how large at least: 1.8 to 3 times (fp32: 140 times) what rounding and short weights alone do to a layer.

The most was 6.8e-7 in fp32, 6.6e-3 in fp16, 0.017 in int8, 0.082 in pal6 and 0.22 in int4, over levit_128s, shvit_s1,
mobilevit_xxs, mobilevitv2_050 (random weights) and shvit_shapes (trained); fp32 to int8 over efficientvit_m0 as well;
0.094 in w8a8, over shvit_shapes alone. Two pictures each; AMD EPYC, 2026-11-21. The factor itself is a choice.
"""


@dataclass(frozen=True)
class Layer:
    """Name a layer, what it does, and a figure of it: its own relative error, or its largest value."""

    name: str
    operation: str
    figure: float


@dataclass(frozen=True)
class Audit:
    """Tell the largest value of every layer, and which layers leave the range of fp16."""

    layers: tuple[Layer, ...]

    @property
    def largest(self) -> Layer:
        """Return the layer with the largest value."""
        return max(self.layers, key=lambda layer: layer.figure)

    @property
    def overflowing(self) -> tuple[Layer, ...]:
        """Return the layers that fp16 cannot hold, in the order of the program."""
        return tuple(layer for layer in self.layers if not layer.figure <= LARGEST_HALF)


@dataclass(frozen=True)
class Comparison:
    """Tell each layer's own error against a reference, in the order of the program."""

    layers: tuple[Layer, ...]
    precision: str

    @property
    def limit(self) -> float:
        """Return the error above which a layer's is more than its precision explains."""
        return max(_LEAST_JUMP[self.precision], _JUMP * statistics.median(layer.figure for layer in self.layers))

    @property
    def worst(self) -> Layer:
        """Return the first layer whose error jumps; where none does, the one with the largest."""
        jumps = (layer for layer in self.layers if not layer.figure <= self.limit)
        return next(jumps, None) or max(self.layers, key=lambda layer: layer.figure)

    @property
    def jumps(self) -> bool:
        """Tell whether the worst layer's error is more than its precision explains."""
        return not self.worst.figure <= self.limit


def audit(package: Path, batches: Iterable[Mapping[str, Tensor]]) -> Audit:
    """Run inputs through a package and keep the largest value of each layer, before it is rounded.

    Left out is what a program of fp16 holds in fp32, and the infinity that a layer only hands on from another or from a
    mask.
    """
    program = read(package)
    seen = _Peaks(program)
    for batch in batches:
        seen.start()
        program.evaluate(batch, seen.watch)
    return Audit(tuple(Layer(_plain(name), *told) for name, told in seen.peaks.items()))


class _Peaks:
    """Keep the largest value of each layer, and who holds infinity during one run."""

    def __init__(self, program: MilProgram) -> None:
        self.peaks: dict[str, tuple[str, float]] = {}
        self._half = program.half
        self._masks = {name for name, value in program.constants.items() if _infinite(value)}
        self._spoilt = set[str]()

    def start(self) -> None:
        """Begin a run."""
        self._spoilt = set(self._masks)

    def watch(self, node: Node, promise: Promise, value: Tensor) -> None:
        """Note one result."""
        if not value.is_floating_point() or not value.numel():
            return
        rounded = value.half() if promise.kind == "fp16" else value
        if _infinite(rounded):
            self._spoilt.add(promise.name)
        if self._half and promise.kind != "fp16":
            return
        inherits = not self._spoilt.isdisjoint(node.makes) or any(_infinite(v) for v in node.fixed.values())
        beyond = 0.0 if inherits else float("inf")
        peak = float(value.nan_to_num(beyond, beyond, -beyond).abs().max())
        self.peaks[promise.name] = (node.operation, max(peak, self.peaks.get(promise.name, ("", 0.0))[1]))


def _infinite(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all())


def against_torch(package: Path, traced: Traced, spec: Spec, pixels: Pixels, precision: str) -> Comparison:
    """Hold a package against the graph it was made of, on pictures (N, h, w, 3); each layer's largest error counts."""
    program, evaluated = camera_program(traced, spec), read(package)
    intake = intake_of(spec.image, takes_levels=traced.values == "levels")
    name, seen = evaluated.inputs[0].name, []
    for picture in pixels:
        levels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
        wanted, called = _by_name(program, intake.numbers(levels)), {}
        for promised, made in zip(evaluated.outputs, program.graph_signature.user_outputs, strict=False):
            wanted[promised], called[promised] = wanted[made], made  # the file calls its outputs by what they are
        seen.append(compare(evaluated, wanted, {name: levels}, precision, called))
    largest = (max(same, key=lambda layer: layer.figure) for same in zip(*(c.layers for c in seen), strict=True))
    return Comparison(tuple(largest), precision)


def compare(
    program: MilProgram,
    wanted: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    precision: str,
    called: Mapping[str, str] | None = None,
) -> Comparison:
    """Evaluate a program and hold each layer that the reference knows against it, going on with the reference.

    ``called`` gives the names to tell for layers that the program calls otherwise.
    """
    found, unpacked = [], set[str]()

    def watch(node: Node, promise: Promise, value: Tensor) -> Tensor | None:
        if node.operation == "dequantize":
            unpacked.add(promise.name)
        name = _plain(promise.name)
        right = wanted.get(name)
        if right is None or right.shape != value.shape or not value.is_floating_point():
            return None
        if node.operation == "add" and unpacked.intersection(node.makes):
            return None  # a sum of 8-bit activations is in a scale of its own, which the next quantize takes back
        found.append(Layer((called or {}).get(name, name), node.operation, _relative(right, value)))
        return right

    program.evaluate(inputs, watch)
    if not found:
        raise EngineError("The package has no layer that the reference knows by name; it was made of another model.")
    return Comparison(tuple(found), precision)


def _relative(right: Tensor, value: Tensor) -> float:
    finite = torch.isfinite(right)
    if not torch.equal(right[~finite], value[~finite]) or value.isnan().any():
        return float("inf")
    difference = (value - right)[finite].abs()
    largest = float(right[finite].abs().max()) if finite.any() else 0.0
    apart = float(difference.max()) if difference.numel() else 0.0
    return apart / largest if largest else (0.0 if apart == 0 else float("inf"))


def _plain(name: str) -> str:
    return name.removesuffix(_HALF_NAME)


class _Recorder(fx.Interpreter):
    """Run a trace and keep what every layer makes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.made: dict[str, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node.op == "call_function" and isinstance(value, Tensor) and value.is_floating_point():
            self.made[node.name] = value.clone()
        return value


def _by_name(program: torch.export.ExportedProgram, numbers: Tensor) -> dict[str, Tensor]:
    recorder = _Recorder(program.module())
    with torch.no_grad():
        recorder.run(numbers)
    return recorder.made
