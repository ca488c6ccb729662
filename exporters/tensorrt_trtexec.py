"""Spell the ``trtexec`` command that builds a file as ``edgevit build`` would, for boards on which edgevit cannot run.

The flags are those of NVIDIA's own help text. ``--layerPrecisions`` came with TensorRT 8.4.1 (NVIDIA/TensorRT,
CHANGELOG.md); its list is of whole layer names, since not every release takes ``fp32/*``. Needs no torch.
"""

from __future__ import annotations

import shlex
from typing import Any

from edgevit.formats import FP32_NODE, older

from .tensorrt_ops import ParserTable

FIRST_TO_BIND_LAYERS = "8.4"
MOST_ROWS = 8


def trtexec_line(onnx: Any, model: Any, file: str, precision: str, table: ParserTable) -> str:
    """Return the command for a finished model, or say why there is none that would compute it rightly."""
    flags = ["--stronglyTyped"] if table.strongly_typed else []
    if precision == "int8" and not table.strongly_typed:
        flags = ["--int8"]
    if precision == "fp16" and not table.strongly_typed:
        bound = _float_islands(onnx, model)
        if bound and older(table.release, FIRST_TO_BIND_LAYERS):
            return (
                f"none: before TensorRT {FIRST_TO_BIND_LAYERS} trtexec cannot keep single layers in float32. "
                "Export with --precision fp32"
            )
        flags = ["--fp16", *(_constraints(bound) if bound else ())]
    words = ["trtexec", f"--onnx={file}", "--noTF32", *flags, *_shapes(model), "--saveEngine=model.engine"]
    return shlex.join(words)


def _constraints(bound: dict[str, int]) -> tuple[str, ...]:
    precisions = ",".join(f"{name}:fp32" for name in bound)
    types = ",".join(f"{name}:{'+'.join(['fp32'] * count)}" for name, count in bound.items())
    return ("--precisionConstraints=obey", f"--layerPrecisions={precisions}", f"--layerOutputTypes={types}")


def _float_islands(onnx: Any, model: Any) -> dict[str, int]:
    """Return name and number of outputs of the nodes to bind; those that give whole numbers are left alone."""
    known = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        v.name for v in (*known.value_info, *known.output) if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    islands = (node for node in model.graph.node if node.name.startswith(FP32_NODE))
    return {node.name: len(node.output) for node in islands if any(name in floats for name in node.output)}


def _shapes(model: Any) -> list[str]:
    """Return the range of the batch where it may vary: trtexec would take 1 for it."""
    varying = [v for v in model.graph.input if not v.type.tensor_type.shape.dim[0].dim_value]
    given = []
    for word, rows in (("min", 1), ("opt", 1), ("max", MOST_ROWS)):
        parts = (
            f"{v.name}:{'x'.join(str(d.dim_value or rows) for d in v.type.tensor_type.shape.dim)}" for v in varying
        )
        given += [f"--{word}Shapes={','.join(parts)}"] if varying else []
    return given
