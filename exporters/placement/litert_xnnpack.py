"""Say why XNNPACK left an operator: rules, read from the delegate's published limits.

Source: google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md (3a653aa8), "Limitations and supported operators"; the
operators of the last line are not in it and were seen delegated by ai-edge-litert 2.3. That an operator was left is
executed knowledge; only the reason is read from here.
"""

from __future__ import annotations

from .tflite_file import Operator

_KNOWN_WORDS = """
ABS ADD AVERAGE_POOL_2D CEIL CONCATENATION CONV_2D DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU FULLY_CONNECTED
FLOOR HARD_SWISH LEAKY_RELU LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MUL NEG PAD PRELU QUANTIZE RELU RELU6
RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE
STRIDED_SLICE SUB TANH TRANSPOSE TRANSPOSE_CONV BATCH_MATMUL EXP EXPAND_DIMS GELU REDUCE_MAX RSQRT SUM
"""
_KNOWN = frozenset(_KNOWN_WORDS.split())
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_COMPUTABLE = ("float32", "float16", "int8", "uint8")
_DESCRIBED = {"RESHAPE": 1, "TRANSPOSE": 1, "PAD": 1, "MEAN": 1, "SUM": 1, "RESIZE_BILINEAR": 1, "SLICE": 3,
              "STRIDED_SLICE": 3}  # fmt: skip
"""Operators whose further inputs, so many, must be constants."""


def why_left(op: Operator) -> str:
    """Return the published limit that an operator breaks, or that none is known."""
    if op.kind not in _KNOWN:
        return "XNNPACK has no such operator"
    kinds = {value.dtype for value in (*op.computed, *op.outputs)}
    if strange := sorted(kinds - set(_COMPUTABLE)):
        return f"it works on {strange[0]}, XNNPACK on floats and 8-bit numbers"
    if op.kind in _WEIGHTED and len(op.inputs) > 1 and not op.inputs[1].constant:
        return "its weights are computed; XNNPACK wants constants"
    if op.kind in _WEIGHTED and len(op.inputs) > 1 and _is_dynamic_range(op):
        return "8-bit weights and float activations, which XNNPACK does not take here"
    if op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and _skips(op):
        return "a 1x1 window with a stride, which only skips pixels"
    if op.kind == "STRIDED_SLICE" and len(op.inputs) > 3 and set(op.inputs[3].numbers) != {1}:
        return "its strides are not all 1"
    if op.kind == "STRIDED_SLICE" and any(op.options.values()):
        return "it has an ellipsis, a new or a dropped axis"
    if any(not value.constant for value in op.inputs[1 : 1 + _DESCRIBED.get(op.kind, 0)]):
        return "its axes, shape or padding are computed; XNNPACK wants constants"
    return "XNNPACK did not take it in this form; no published limit says why"


def _is_dynamic_range(op: Operator) -> bool:
    return op.inputs[0].dtype == "float32" and op.inputs[1].dtype == "int8"


def _skips(op: Operator) -> bool:
    window = (op.options.get("filter_h"), op.options.get("filter_w"))
    return window == (1, 1) and (op.options.get("stride_h"), op.options.get("stride_w")) != (1, 1)
