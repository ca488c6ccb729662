"""List what is known of Apple's Neural Engine: what it refuses, and what it does slowly. Rules only.

Apple publishes no list. Sources, read 2026-11:
[1] Apple, "Deploying Transformers on the Apple Neural Engine" (machinelearning.apple.com/research/
    neural-engine-transformers): tensors of 4 dimensions, channels first; a last axis that is padded to 64 bytes.
[2] coremltools guide, "Typed Execution" and "Flexible Input Shapes": it computes in fp16, on fixed shapes.
[3] sbryngelson/ANEForge, docs/op-catalog.md and docs/capabilities.md (067717ab): tried on chips from M1 to M5.
[4] hollance/neural-engine, docs/unsupported-layers.md (06a7632e): gather and recurrent layers.
Where a chip is more able than the first that Core ML serves so, the rule is that of the less able one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .mil_file import ANY, Operation

Rule = Callable[[Operation], str]

_MOST_DIMENSIONS = 5
_LONGEST_SIDE = 16384
_WIDEST_KERNEL = 13
_WIDEST_WINDOW = 29
_SMALL = 4096
"""Tensors of so few numbers are not worth a word about their layout."""

_NATIVE_WORDS = """
abs add avg_pool batch_norm batch_to_space cast ceil clamped_relu clip concat conv conv_transpose depth_to_space
dequantize einsum elu equal erf exp exp2 expand_dims fill floor floor_div gelu greater greater_equal identity
instance_norm inverse l2_norm l2_pool layer_norm leaky_relu less less_equal linear local_response_norm log logical_not
matmul max_pool maximum minimum mul not_equal pad pixel_shuffle pixel_unshuffle pow prelu quantize real_div
reduce_argmax reduce_l1_norm reduce_l2_norm reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean reduce_min
reduce_sum reduce_sum_square relu relu6 reshape resize resize_bilinear resize_nearest_neighbor reverse round rsqrt
scaled_dot_product_attention scaled_tanh select sigmoid sigmoid_hard sign silu slice_by_index slice_by_size softmax
softplus softplus_parametric softsign space_to_batch space_to_depth split sqrt square squeeze stack sub tanh threshold
thresholded_relu tile transpose upsample_bilinear upsample_nearest_neighbor
"""
_NATIVE = frozenset(_NATIVE_WORDS.split())
_COMPUTING_WORDS = """
conv linear matmul softmax layer_norm instance_norm batch_norm gelu silu
"""
_COMPUTING = frozenset(_COMPUTING_WORDS.split())


def _unknown(op: Operation) -> str:  # [3] [4]
    return "" if op.kind in _NATIVE else "not among the operations known to run there"


def _type(op: Operation) -> str:  # [2]
    strange = [t.kind for t in (*op.outputs, *op.inputs) if t.kind not in ("fp16", "int8", "uint8", "bool")]
    return f"it computes in {strange[0]}; the Neural Engine computes in fp16" if strange else ""


def _rank(op: Operation) -> str:  # [3]
    most = max((len(t.shape) for t in (*op.inputs, *op.outputs)), default=0)
    return f"a tensor of {most} dimensions; {_MOST_DIMENSIONS} are the most" if most > _MOST_DIMENSIONS else ""


def _fixed(op: Operation) -> str:  # [2]
    return "its shape is known only at run time" if any(ANY in t.shape for t in (*op.inputs, *op.outputs)) else ""


def _side(op: Operation) -> str:  # [3]
    longest = max((n for t in (*op.inputs, *op.outputs) for n in t.shape), default=0)
    return f"a side of {longest}; {_LONGEST_SIDE} is the most" if longest > _LONGEST_SIDE else ""


def _window(op: Operation) -> str:  # [3]
    if op.kind in ("avg_pool", "max_pool", "l2_pool"):
        widest, most = _largest(op, "kernel_sizes"), _WIDEST_WINDOW
    else:
        widest, most = _kernel(op), _WIDEST_KERNEL
    return f"a window of {widest}; {most} is the widest" if widest > most else ""


def _kernel(op: Operation) -> int:
    return max(op.weight_shape[2:], default=0) if op.kind in ("conv", "conv_transpose") else 0


def _largest(op: Operation, name: str) -> int:
    return max((n for n in op.constants.get(name, ()) if isinstance(n, int)), default=0)


def _padding(op: Operation) -> str:  # [3]
    modes = op.constants.get("mode", ()) if op.kind == "pad" else ()
    return "" if set(modes) <= {"constant"} else f"it pads by {modes[0]}; constants are what all chips can"


def _tokens(op: Operation) -> str:  # [1]
    ranks = {len(t.shape) for t in op.outputs}
    if op.kind not in _COMPUTING or ranks <= {0, 1, 2, 4}:
        return ""
    return f"slower: {max(ranks)} dimensions, where the Neural Engine's format is 4, channels first"


def _thin(op: Operation) -> str:  # [1]
    thin = [t for t in op.outputs if len(t.shape) > 2 and t.shape[-1] == 1 and math.prod(t.shape) >= _SMALL]
    return "slower: a last axis of 1, which is padded to 64 bytes" if op.kind in _COMPUTING and thin else ""


REFUSALS: tuple[Rule, ...] = (_unknown, _type, _fixed, _rank, _side, _window, _padding)
"""An operation that breaks one of these is said to leave the Neural Engine."""

ADVICE: tuple[Rule, ...] = (_tokens, _thin)
"""What runs there, and worse than it could."""
