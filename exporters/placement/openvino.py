"""See in which precision OpenVINO runs each layer of a model, and with which kernel.

Executed: read from the model that OpenVINO compiled for this machine's CPU, fused as it will run. In an int8 bundle a
layer with weights that computes in float falls back; on another processor OpenVINO may choose otherwise.
"""

from __future__ import annotations

import platform
from typing import Any

from edgevit.runtime.engines import EngineOptions
from edgevit.runtime.engines.openvino import load

from .rows import Op, Subject, View

_NO_WORK = ("Const", "Input", "Output", "Parameter", "Result")
_WEIGHTED = ("Convolution", "Deconvolution", "FullyConnected")
"""Products of two computed tensors are ``MatMul`` here and have no weights."""
_WHOLE = ("i8", "u8")


def look(subject: Subject) -> tuple[View, ...]:
    """List the layers of the compiled model."""
    engine = load(subject.path, subject.graph, EngineOptions())
    try:
        layers = engine.compiled.get_runtime_model().get_ordered_ops()
        ops = tuple(_row(layer, subject.precision) for layer in layers if _told(layer, "layerType") not in _NO_WORK)
    finally:
        engine.close()
    notes = (f"{engine.description}, on {platform.machine()}: {len(ops)} layers after fusing",)
    return (View("the CPU in int8" if subject.precision == "int8" else "the CPU", ops, notes=notes),)


def _row(layer: Any, precision: str) -> Op:
    kind, kernel = _told(layer, "layerType"), _told(layer, "primitiveType")
    computes = kernel.rpartition("_")[2].lower() or _told(layer, "runtimePrecision")
    falls_back = precision == "int8" and kind in _WEIGHTED and computes not in _WHOLE
    why = f"it reads {_read_in(layer)}, which the file does not quantise" if falls_back else ""
    return Op(kind, f"CPU, {computes}", "executed", why, falls_back, _told(layer, "originalLayersNames"))


def _read_in(layer: Any) -> str:
    """Return the precision in which the layer's first input arrives."""
    return _told(layer.input_value(0).get_node(), "outputPrecisions") or "float"


def _told(layer: Any, key: str) -> str:
    """Return one of the facts that OpenVINO writes to each layer of a compiled model."""
    facts = layer.get_rt_info()
    return str(facts[key].value) if key in facts else ""
