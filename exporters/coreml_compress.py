"""Make a Core ML program smaller: 8-bit, 6-bit and 4-bit weights, and 8-bit activations calibrated without a Mac.

coremltools learns the ranges of activations by running the model, which it can on a Mac only. Here mil_program.py runs
it instead; and where coremltools' own bookkeeping keeps the range of the last picture alone, all pictures count.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edgevit.errors import missing

from .mil_program import MilProgram, Node, Promise, of_spec
from .recipe import Job, Traced

NEEDS = {"fp32": "iOS15", "fp16": "iOS15", "int8": "iOS16", "pal6": "iOS16", "w8a8": "iOS17", "int4": "iOS18"}
"""Precision -> the first system whose Core ML reads it."""

_PALETTE_BITS = 6
_BLOCK = 32


def compress(model: Any, traced: Traced, job: Job) -> Any:
    """Return coremltools' model in the precision that the job asks for; small tensors stay as they are."""
    if job.precision == "pal6" and importlib.util.find_spec("sklearn") is None:
        raise missing("scikit-learn", "Exporting pal6 to Core ML", "export")
    from coremltools.optimize import coreml as optimize

    if job.precision == "pal6":  # scikit-learn's k-means, seeded by coremltools
        palette = optimize.OpPalettizerConfig(mode="kmeans", nbits=_PALETTE_BITS)
        return optimize.palettize_weights(model, optimize.OptimizationConfig(global_config=palette))
    if job.precision == "w8a8":
        model = _with_short_activations(model, traced, job)
    bits: dict[str, Any] = {"dtype": "int8", "granularity": "per_channel"}
    if job.precision == "int4":
        bits = {"dtype": "int4", "granularity": "per_block", "block_size": _BLOCK}
    linear = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", **bits)
    return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=linear))


def _with_short_activations(model: Any, traced: Traced, job: Job) -> Any:
    from coremltools.optimize import coreml as optimize

    job = replace(job, spec=replace(job.spec, image=replace(job.spec.image, values="levels")))
    feeds = list(job.feeds(traced))
    spec = model.get_spec()
    program = of_spec(spec, Path(model.weights_dir), job.model)
    config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric")
    with _calibrated(program):
        return optimize.linear_quantize_activations(model, optimize.OptimizationConfig(global_config=config), feeds)


@contextlib.contextmanager
def _calibrated(program: MilProgram) -> Iterator[None]:
    """Let coremltools' calibration ask the evaluator while this lasts."""
    from coremltools.optimize.coreml.experimental._model_debugger import ModelDebugger

    def step(self: Any, inputs: Any, activation_stats_dict: dict[str, Any], **others: Any) -> None:
        def record(node: Node, promise: Promise, value: torch.Tensor) -> None:
            if value.is_floating_point():
                widen(activation_stats_dict, promise.name, float(value.min()), float(value.max()))

        program.evaluate({key: torch.from_numpy(value) for key, value in inputs.items()}, record)

    own = ModelDebugger.step
    ModelDebugger.step = step
    try:
        yield
    finally:
        ModelDebugger.step = own


def widen(ranges: dict[str, Any], name: str, low: float, high: float) -> None:
    """Widen the range of a tensor so that it holds these values too."""
    known = ranges.setdefault(name, {})
    known["rmin"] = min(low, known.get("rmin", low))
    known["rmax"] = max(high, known.get("rmax", high))
