"""Measure how large the numbers inside an ONNX model become on pictures: every float tensor, in float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .onnx import open_session
from .onnx_floats import FloatGraph
from .recipe import Tensor


def measure(onnx: Any, model: Any, graph: FloatGraph, feeds: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return tensor name -> the largest finite value that it held; minus infinity in a mask is meant.

    ``feeds`` are the graph's inputs by name; they are among what is measured.
    """
    names = graph.streams()
    open_ended = onnx.ModelProto()
    open_ended.CopyFrom(model)
    shown = {value.name for value in open_ended.graph.output}
    kinds = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    open_ended.graph.output.extend(kind for kind in kinds if kind.name not in shown)
    session = open_session(open_ended)
    peaks = {value.name: 0.0 for value in model.graph.input} | dict.fromkeys(names, 0.0)
    for feed in feeds:
        values = zip(names, session.run(list(names), dict(feed)), strict=True)
        for name, value in (*feed.items(), *values):
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
