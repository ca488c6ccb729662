"""Say what the GPU delegate of TFLite refuses: rules, no GPU is asked.

Sources: tensorflow/tensorflow, tensorflow/lite/tools/versioning/gpu_compatibility.cc (03a5e4e1), for the operators and
their limits; google-ai-edge/LiteRT, tflite/delegates/gpu/common/model_builder.cc (34ec5bad), for ranks and types. The
analyzer inside the ai-edge-litert wheel is no source: it calls every file compatible, one of BROADCAST_TO included
(version 2.3). What the rules let pass, a driver may still refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from .tflite_file import Operator, Value

_MOST_DIMENSIONS = 4

_ONE_INPUT_WORDS = """
ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RSQRT
SIGN SIN SOFTMAX SQRT SQUARE TANH
"""
_ONE_INPUT = frozenset(_ONE_INPUT_WORDS.split())
_COMPARISONS_WORDS = """
EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL LOGICAL_AND
"""
_COMPARISONS = frozenset(_COMPARISONS_WORDS.split())
_PAIRS_WORDS = """
ATAN2 DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM POW SQUARED_DIFFERENCE SUB
"""
_TWO_INPUTS = _COMPARISONS | frozenset(_PAIRS_WORDS.split())
_ONE_COMPUTED_WORDS = """
CAST DEPTH_TO_SPACE MEAN MIRROR_PAD PAD PADV2 QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH SUM TILE TRANSPOSE
"""
_ONE_COMPUTED = frozenset(_ONE_COMPUTED_WORDS.split())
_FREE_WORDS = """
ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D CUMSUM DENSIFY DEPTHWISE_CONV_2D DEQUANTIZE
FULLY_CONNECTED GATHER LSTM MAX_POOL_2D MUL ONE_HOT PACK SELECT SELECT_V2 SLICE SPLIT SPLIT_V STRIDED_SLICE
TRANSPOSE_CONV UNPACK
"""
_FREE = frozenset(_FREE_WORDS.split())
_OPERATORS = _ONE_INPUT | _TWO_INPUTS | _ONE_COMPUTED | _FREE

_NUMBERS = frozenset(("float32", "float16", "int8", "uint8"))
_MORE_IN = {"CAST": {"bool", "int32"}, "ONE_HOT": {"int32"}, "SELECT": {"bool"}, "SELECT_V2": {"bool"},
            "LOGICAL_AND": {"bool"}, "GATHER": {"int32"}}  # fmt: skip
_MORE_OUT = {"CAST": {"bool", "int32"}, **{kind: {"bool"} for kind in _COMPARISONS}}


def why_refused(op: Operator) -> str:
    """Return the rule that an operator breaks; empty where it breaks none."""
    if op.kind not in _OPERATORS:
        return "the GPU delegate has no such operator"
    most = max((len(value.shape) for value in (*op.inputs, *op.outputs)), default=0)
    if most > _MOST_DIMENSIONS:
        return f"a tensor of {most} dimensions; the GPU delegate takes {_MOST_DIMENSIONS}"
    taken_in, taken_out = (_NUMBERS | more.get(op.kind, set()) for more in (_MORE_IN, _MORE_OUT))
    strange = [v.dtype for v in op.computed if v.dtype not in taken_in]
    strange += [v.dtype for v in op.outputs if v.dtype not in taken_out]
    if strange:
        return f"it works on {strange[0]}"
    return _inputs(op) or _shapes(op)


def _inputs(op: Operator) -> str:
    computed, constants = len(op.computed), len(op.inputs) - len(op.computed)
    if op.kind in _ONE_COMPUTED and computed != 1:
        return f"{computed} of its inputs are computed, where the GPU delegate takes one"
    if op.kind in _TWO_INPUTS and (computed, constants) not in ((2, 0), (1, 1)):
        return "its inputs are neither two tensors nor a tensor and a constant"
    if op.kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD") and op.inputs[1].dtype != "int32":
        return "its axes are not int32"
    if op.kind == "FULLY_CONNECTED" and op.inputs[0].constant:
        return "its input is a constant"
    if op.kind in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D") and computed > 2:
        return "its weights and its bias are both computed"
    if op.kind in ("ADD", "ADD_N", "MUL", "BATCH_MATMUL") and len(op.inputs) != 2:
        return f"it has {len(op.inputs)} inputs; the GPU delegate takes two"
    return ""


def _shapes(op: Operator) -> str:
    if op.kind in ("ADD", "MUL"):
        return _broadcast(op.kind, op.inputs)
    if op.kind in ("SLICE", "STRIDED_SLICE"):
        if any(op.options.values()):
            return "it has an ellipsis, a new or a dropped axis"
        if len(op.inputs[0].shape) not in (3, 4):
            return f"it cuts a tensor of {len(op.inputs[0].shape)} dimensions; the GPU delegate takes 3 and 4"
    if op.kind == "GATHER" and (op.inputs[0].dtype == "int32" or len(op.inputs[1].shape) != 1):
        return "it gathers whole numbers, or by indices of more than one dimension"
    if op.kind in ("PAD", "PADV2", "MIRROR_PAD") and op.inputs[1].shape not in ((3, 2), (4, 2)):
        return "it pads a tensor that has neither 3 nor 4 dimensions"
    return ""


def _broadcast(kind: str, inputs: Sequence[Value]) -> str:
    first, second = (value.shape for value in inputs)
    if len(first) == len(second):
        smaller = any(a < b for a, b in zip(first, second, strict=True))
        larger = any(a > b for a, b in zip(first, second, strict=True))
        return "each input is smaller than the other somewhere" if kind == "MUL" and smaller and larger else ""
    if min(len(first), len(second)) < 2:
        return ""
    pairs = zip(reversed(first), reversed(second), strict=False)
    fits = all(a == b or 1 in (a, b) for a, b in pairs)
    return "" if fits else f"it cannot broadcast {list(first)} with {list(second)}"
