"""Compute a model in fp16 where no machine here does: every value is rounded to fp16 after every operation.

ONNX Runtime's CPU provider widens fp16 files to fp32, and LiteRT and OpenVINO keep fp16 for weights only; so a file can
agree with torch here and overflow to infinity on a phone's GPU. This is what catches it, before the file is sealed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from edgevit.kernels import normalise
from edgevit.spec import ImageSpec

from .agreement import Gate, relative_errors
from .recipe import Traced

LARGEST_HALF = 65504.0
MOST_PICTURES = 8

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HalfFigures:
    """Tell the largest value inside the model, and how far fp16 arithmetic moves the answer."""

    peak: float
    relative_median: float

    def gate(self) -> Gate:
        """Return the gate: nothing inside may leave the range of fp16."""
        passed = self.peak <= LARGEST_HALF
        return Gate("largest value inside", LARGEST_HALF, self.peak, passed, counted=True, asked=LARGEST_HALF)


class HalfInterpreter(fx.Interpreter):
    """Run a traced graph and round every float tensor to fp16 on the way."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.peak = 0.0

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or node.op == "output":
            return value
        finite = value[torch.isfinite(value)]  # masks of minus infinity are meant; only what was finite can overflow
        if finite.numel():
            self.peak = max(self.peak, float(finite.abs().max()))
        return value.half().float()


def audit(traced: Traced, pixels: Pixels, image: ImageSpec, wanted: Tensor) -> HalfFigures:
    """Run some pictures (N, h, w, 3) in rounded arithmetic and compare with the model's answers (N, classes)."""
    module = traced.program.module()
    rows, peak = [], 0.0
    batch = max(1, traced.example[0].shape[0])
    for picture in pixels[:MOST_PICTURES]:
        interpreter = HalfInterpreter(module)
        tensor = torch.from_numpy(normalise(picture, replace(image, values=traced.values))).repeat(batch, 1, 1, 1)
        with torch.no_grad():
            rows.append(interpreter.run(tensor)[:1].numpy())
        peak = max(peak, interpreter.peak)
    answers = np.concatenate(rows)
    with np.errstate(invalid="ignore"):
        error = float(np.median(relative_errors(wanted[: len(answers)], answers)))
    return HalfFigures(peak, error if np.isfinite(answers).all() else float("inf"))
