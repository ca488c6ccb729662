"""Say which operators of an ONNX graph keep float32 when the rest becomes fp16, and why.

Principle: fp16 has 11 bits and ends at 65504. What a vision transformer loses there is known: the sums and powers of
its normalisations overflow (TensorRT warns of FP16 reductions and powers behind self-attention; NVIDIA/TensorRT#2564,
#3692), and softmax, exp and log lose digits. So the rule is the list of operators that torch.autocast keeps in float32
(PyTorch docs, torch.amp, CUDA ops that autocast to float32), and all reductions. To it comes what this model shows: a
constant that fp16 cannot hold, and a value that comes near the end of its range on pictures; and what stands between
two such operators, so that nothing is rounded on the way from one to the other.
Everything else, which is nearly all of the arithmetic, is fp16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .half import LARGEST_HALF
from .onnx_floats import Array, FloatGraph

RULES = frozenset(
    (
        *("Acos", "Asin", "Cosh", "Sinh", "Tan", "CumSum", "Exp", "Log", "LogSoftmax", "Pow", "Reciprocal", "Sqrt"),
        *("Softmax", "Softplus", "LpNormalization", "LayerNormalization", "GroupNormalization"),
        *("InstanceNormalization", "MeanVarianceNormalization", "RMSNormalization"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum"),
        "ReduceSumSquare",
    )
)
UNTYPED = frozenset(("QuantizeLinear", "DequantizeLinear", "Range", "EyeLike", "RandomNormal", "RandomUniform"))
"""Their types are bound to float32 by the operator itself, or by an attribute."""

HEADROOM = 8.0
"""The pictures looked at are few: a value that comes this near to the end of the range may pass it on others.

A choice, not a measurement: three bits of the exponent are left free, and what that keeps in float32 is counted in the
manifest ("kept_in_fp32").
"""
MOST_SEEN = LARGEST_HALF / HEADROOM

_LIGHT = frozenset(
    (
        *("Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Relu", "Sub", "Where"),
        *("Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
"""What costs no more than its memory, so that it may keep float32 between two that do."""
_ROUNDING = 1e-2
"""A lone number that fp16 moves further than the gate of an fp16 file (1e-2) would fail it by itself."""


def find_islands(graph: FloatGraph, peaks: Mapping[str, float]) -> dict[str, str]:
    """Return node name -> why it keeps float32. ``peaks`` is the largest value seen in each tensor."""
    found = {node.name: why for node in graph.nodes if (why := _why(graph, node, peaks))}
    while more := {n.name: "between" for n in graph.nodes if n.name not in found and _joins(graph, n, found)}:
        found |= more
    return found


def _why(graph: FloatGraph, node: Any, peaks: Mapping[str, float]) -> str:
    if node.op_type in RULES or node.op_type in UNTYPED:
        return "rule"
    if any(name in graph.constants and not holds(graph.constants[name]) for name in node.input):
        return "constant"
    around = [name for name in (*node.input, *node.output) if graph.is_float(name)]
    return "range" if any(peaks.get(name, 0.0) > MOST_SEEN for name in around) else ""


def holds(constant: Array) -> bool:
    """Tell whether fp16 can hold a constant: nothing out of range, and a lone number within one percent.

    A minus infinity of a mask stays one. Small numbers among many are weights, which may be rounded to nothing.
    """
    finite = constant[np.isfinite(constant)]
    if finite.size and float(np.abs(finite).max()) > LARGEST_HALF:
        return False
    if constant.size != 1 or not finite.size or float(finite[0]) == 0:
        return True
    value = float(finite[0])
    return abs(float(np.float16(value)) - value) <= _ROUNDING * abs(value)


def _joins(graph: FloatGraph, node: Any, found: Mapping[str, str]) -> bool:
    """Tell whether a light node stands between islands, or divides one by another."""
    if node.op_type not in _LIGHT:
        return False
    sources = [source is not None and source.name in found for source in graph.sources(node)]
    if not any(sources):
        return False
    return (node.op_type == "Div" and all(sources)) or any(taker.name in found for taker in graph.takers(node))
