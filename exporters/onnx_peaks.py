"""Measure how large the numbers inside an ONNX model become on pictures: every float tensor, in float32."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .onnx import open_session
from .onnx_floats import FloatGraph
from .recipe import Tensor, Traced


def measure(onnx: Any, model: Any, graph: FloatGraph, traced: Traced, pictures: Iterable[Tensor]) -> dict[str, float]:
    """Return tensor name -> the largest finite value that it held; minus infinity in a mask is meant.

    ``pictures`` are input tensors of one row each; the input itself is among what is measured.
    """
    names = graph.streams()
    open_ended = onnx.ModelProto()
    open_ended.CopyFrom(model)
    shown = {value.name for value in open_ended.graph.output}
    kinds = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    open_ended.graph.output.extend(kind for kind in kinds if kind.name not in shown)
    session = open_session(open_ended)
    entry, batch = traced.inputs[0].name, max(1, traced.inputs[0].shape[0])
    peaks = dict.fromkeys((entry, *names), 0.0)
    for tensor in pictures:
        values = session.run(list(names), {entry: np.repeat(tensor, batch, axis=0)})
        for name, value in zip((entry, *names), (tensor, *values), strict=True):
            peaks[name] = max(peaks[name], _largest(value))
    return peaks


def _largest(value: Any) -> float:
    """Return the largest finite number of an array, without its sign."""
    if not value.size:
        return 0.0
    peak = float(max(value.max(), -value.min()))
    if np.isfinite(peak):  # nearly always, and without a copy
        return peak
    finite = np.abs(value[np.isfinite(value)])
    return float(finite.max()) if finite.size else 0.0
