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
RANGE_GATE = "largest value inside"

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HalfFigures:
    """Tell the largest value inside the model, and how far fp16 arithmetic moves the answer.

    ``first_outside`` says in words which layer is the first to leave the range, if one does.
    """

    peak: float
    relative_median: float
    first_outside: str | None = None

    def gate(self) -> Gate:
        """Return the gate: nothing inside may leave the range of fp16."""
        passed = self.peak <= LARGEST_HALF
        return Gate(RANGE_GATE, LARGEST_HALF, self.peak, passed, counted=True, asked=LARGEST_HALF)


class HalfInterpreter(fx.Interpreter):
    """Run a traced graph and round every float tensor to fp16 on the way; ``peaks`` are by the name of the layer.

    What stands in a graph of its own (a region that asks for float32, which no fp16 file keeps) is rounded too.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self._nodes: dict[str, fx.Node] = {}
        self.peaks: dict[str, float] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = self._run_region(node) if _region(node) else super().run_node(node)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or node.op == "output":
            return value
        finite = value[torch.isfinite(value)]  # masks of minus infinity are meant; only what was finite can overflow
        if finite.numel():
            self._see(node.name, node, float(finite.abs().max()))
        return value.half().float()

    def _run_region(self, node: fx.Node) -> Any:
        args, _ = self.fetch_args_kwargs_from_env(node)
        place = next(at for at, value in enumerate(args) if isinstance(value, fx.GraphModule))
        inside = HalfInterpreter(args[place])
        value = inside.run(*args[place + 1 :])
        for name, peak in inside.peaks.items():
            self._see(f"{node.name}.{name}", inside._nodes[name], peak)
        return value

    def _see(self, name: str, node: fx.Node, peak: float) -> None:
        self._nodes.setdefault(name, node)
        self.peaks[name] = max(peak, self.peaks.get(name, 0.0))

    def first_outside(self) -> str | None:
        """Name the first layer, in the graph's order, that held what fp16 cannot."""
        for name, peak in self.peaks.items():
            if peak > LARGEST_HALF:
                return outside_sentence(name, _place(self._nodes[name]), peak)
        return None


def _region(node: fx.Node) -> bool:
    """Tell whether a node runs a graph of its own."""
    return node.op == "call_function" and isinstance(node.target, torch._ops.HigherOrderOperator)


def outside_sentence(name: str, place: str, peak: float) -> str:
    """Say which layer is the first to leave the range of fp16."""
    return f"the first layer to leave the range of fp16 is '{name}' ({place}): {peak:.3g}"


def _place(node: fx.Node) -> str:
    """Return what a layer computes and where in the model it stands."""
    kind = str(node.target).removeprefix("aten.").removesuffix(".default") if node.op == "call_function" else node.op
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    return f"{kind} in {stack[-1]}" if stack and stack[-1] else kind


def audit(traced: Traced, pixels: Pixels, image: ImageSpec, wanted: Tensor) -> HalfFigures:
    """Run some pictures (N, h, w, 3) in rounded arithmetic and compare with the model's answers (N, classes)."""
    module = traced.program.module()
    interpreter = HalfInterpreter(module)
    rows = []
    batch = max(1, traced.example[0].shape[0])
    for picture in pixels[:MOST_PICTURES]:
        tensor = torch.from_numpy(normalise(picture, replace(image, values=traced.values))).repeat(batch, 1, 1, 1)
        with torch.no_grad():
            rows.append(interpreter.run(tensor)[:1].numpy())
    answers = np.concatenate(rows)
    with np.errstate(invalid="ignore"):
        error = float(np.median(relative_errors(wanted[: len(answers)], answers)))
    error = error if np.isfinite(answers).all() else float("inf")
    return HalfFigures(max(interpreter.peaks.values(), default=0.0), error, interpreter.first_outside())
