"""Measure how large the numbers inside an ONNX model become on pictures: every float tensor, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevit.spec import ImageSpec

from .onnx import open_session
from .onnx_floats import FloatGraph
from .pictures import PictureSet
from .recipe import Traced

MOST_PICTURES = 8


def measure(
    onnx: Any, model: Any, graph: FloatGraph, traced: Traced, pictures: PictureSet, image: ImageSpec
) -> dict[str, float]:
    """Return tensor name -> the largest finite value that it held; minus infinity in a mask is meant."""
    names = graph.streams()
    open_ended = onnx.ModelProto()
    open_ended.CopyFrom(model)
    shown = {value.name for value in open_ended.graph.output}
    kinds = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    open_ended.graph.output.extend(kind for kind in kinds if kind.name not in shown)
    session = open_session(open_ended)
    batch = max(1, traced.inputs[0].shape[0])
    peaks = dict.fromkeys(names, 0.0)
    for tensor in pictures.tensors(image):
        values = session.run(list(names), {traced.inputs[0].name: np.repeat(tensor, batch, axis=0)})
        for name, value in zip(names, values, strict=True):
            finite = value[np.isfinite(value)]
            peaks[name] = max(peaks[name], float(np.abs(finite).max()) if finite.size else 0.0)
    return peaks
