"""Say in torch what each operation of Core ML's language (MIL) computes: one table, name -> function.

A function takes the operation's arguments as tensors, in fp32, whole numbers or booleans, and the node for what is
written in the program: strides, axes, modes. Rounding to fp16 is not its affair; mil_program.py does it. Source of the
meanings: the MIL operation reference of coremltools.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F

from . import mil_resize as resizing
from . import mil_windows as windows
from .mil_windows import Function, Values, Written

Tensor = torch.Tensor

KINDS = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int32, "uint16": torch.int32,
         "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8, "bool": torch.bool}  # fmt: skip
"""MIL's word for a kind of number -> what holds it here."""


def _one(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda a, node: function(a["x"])


def _two(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda a, node: function(a["x"], a["y"])


def _with_epsilon(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda a, node: function(a["x"] + node.plain("epsilon", 0.0))


def _reduce(function: Callable[..., Tensor]) -> Function:
    def reduce(a: Values, node: Written) -> Tensor:
        axes = node.plain("axes")
        return function(a["x"], list(range(a["x"].dim())) if axes is None else axes, bool(node.plain("keep_dims")))

    return reduce


def _extreme(function: Callable[..., Tensor]) -> Function:
    return lambda a, node: function(a["x"], node.plain("axis", -1), keepdim=bool(node.plain("keep_dims"))).int()


def _divide(a: Values, node: Written) -> Tensor:
    whole = not a["x"].is_floating_point() and not a["y"].is_floating_point()
    return torch.div(a["x"], a["y"], rounding_mode="trunc" if whole else None)


def _gelu(a: Values, node: Written) -> Tensor:
    mode = node.plain("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        scaled: Tensor = a["x"] * torch.sigmoid(1.702 * a["x"])
        return scaled
    return F.gelu(a["x"], approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _expand_dims(a: Values, node: Written) -> Tensor:
    axes = node.plain("axes")
    rank = a["x"].dim() + len(axes)
    spread: Tensor = functools.reduce(torch.unsqueeze, sorted(axis % rank for axis in axes), a["x"])
    return spread


def _reshape(a: Values, node: Written) -> Tensor:
    """Take each 0 from the input's shape, both read from their ends."""
    x, shape = a["x"], a["shape"].tolist()
    own = [1] * len(shape) + list(x.shape)
    return torch.reshape(x, [n or own[at - len(shape)] for at, n in enumerate(shape)])


def _squeeze(a: Values, node: Written) -> Tensor:
    axes = node.plain("axes")
    return torch.squeeze(a["x"]) if axes is None else torch.squeeze(a["x"], tuple(axes))


def _fill(a: Values, node: Written) -> Tensor:
    value = a.get("value", torch.tensor(0.0))
    return torch.full(a["shape"].tolist(), value.item(), dtype=value.dtype)


def _split(a: Values, node: Written) -> Sequence[Tensor]:
    axis, sizes = node.plain("axis"), node.plain("split_sizes")
    return torch.split(a["x"], sizes or a["x"].shape[axis] // node.plain("num_splits"), axis)


def _matmul(a: Values, node: Written) -> Tensor:
    x, y = a["x"], a["y"]
    x = x.transpose(-1, -2) if node.plain("transpose_x", False) else x
    return torch.matmul(x, y.transpose(-1, -2) if node.plain("transpose_y", False) else y)


def _batch_norm(a: Values, node: Written) -> Tensor:
    epsilon = node.plain("epsilon", 1e-5)
    return F.batch_norm(a["x"], a["mean"], a["variance"], a.get("gamma"), a.get("beta"), eps=epsilon)


def _layer_norm(a: Values, node: Written) -> Tensor:
    x, gamma, beta, epsilon = a["x"], a.get("gamma"), a.get("beta"), node.plain("epsilon", 1e-5)
    axes = sorted(axis % x.dim() for axis in node.plain("axes") or range(x.dim()))
    if axes == list(range(x.dim() - len(axes), x.dim())):
        return F.layer_norm(x, x.shape[-len(axes) :], gamma, beta, epsilon)
    centred = x - x.mean(axes, keepdim=True)
    normed: Tensor = centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + epsilon)
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    normed = normed if gamma is None else normed * gamma.reshape(shape)
    return normed if beta is None else normed + beta.reshape(shape)


def _l2_norm(a: Values, node: Written) -> Tensor:
    axes = list(range(1, a["x"].dim()))
    total = a["x"].square().sum(axes, keepdim=True) + node.plain("epsilon", 1e-6)
    return torch.div(a["x"], torch.sqrt(total))


def _slice_by_index(a: Values, node: Written) -> Tensor:
    x: Tensor = a["x"]
    begin, end, steps = node.plain("begin"), node.plain("end"), node.plain("stride") or [1] * x.dim()
    from_start, to_end, single = (
        node.plain(f"{name}_mask") or [False] * x.dim() for name in ("begin", "end", "squeeze")
    )
    for axis in reversed(range(x.dim())):
        if single[axis]:
            x = x.select(axis, begin[axis])
            continue
        cut = slice(None if from_start[axis] else begin[axis], None if to_end[axis] else end[axis], steps[axis])
        if cut.step < 0:  # torch has no steps backwards
            x = x.index_select(axis, torch.tensor(range(x.shape[axis])[cut]))
        elif cut != slice(None, None, 1):
            x = x[(slice(None),) * axis + (cut,)]
    return x


def _slice_by_size(a: Values, node: Written) -> Tensor:
    cuts = zip(node.plain("begin"), node.plain("size"), strict=True)
    piece: Tensor = a["x"][tuple(slice(at, None if n == -1 else at + n) for at, n in cuts)]
    return piece


def _gather(a: Values, node: Written) -> Tensor:
    x, indices = a["x"], a["indices"].long()
    axis = node.plain("axis", 0) % x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked: Tensor = x.index_select(axis, indices.reshape(-1))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_along_axis(a: Values, node: Written) -> Tensor:
    return torch.gather(a["x"], node.plain("axis", 0), a["indices"].long())


def _attention(a: Values, node: Written) -> Tensor:
    return F.scaled_dot_product_attention(a["query"], a["key"], a["value"], attn_mask=a.get("attn_mask"))


def _along(values: Tensor, x: Tensor, node: Written) -> Tensor:
    """Shape one number, or one a channel, so that it applies along the quantised axis."""
    if values.numel() == 1:
        return values.reshape(()).float()
    shape = [1] * x.dim()
    shape[node.plain("axis", 0)] = -1
    return values.reshape(shape).float()


_LEVELS = {"int8": (-128, 127, torch.int8), "uint8": (0, 255, torch.uint8)}


def _quantize(a: Values, node: Written) -> Tensor:
    x, zero = a["input"], a.get("zero_point")
    low, high, dtype = _LEVELS[node.plain("output_dtype")]
    levels = torch.round(x / _along(a["scale"], x, node)) + (0 if zero is None else _along(zero, x, node))
    return levels.clamp(low, high).to(dtype)


def _dequantize(a: Values, node: Written) -> Tensor:
    x, zero = a["input"], a.get("zero_point")
    levels = x.float() - (0 if zero is None else _along(zero, x, node))
    return torch.mul(levels, _along(a["scale"], x, node))


_PLACES: Mapping[str, Function] = {
    "identity": _one(lambda x: x),
    "transpose": lambda a, node: a["x"].permute(node.plain("perm")),
    "reshape": _reshape,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "concat": lambda a, node: torch.cat(a["values"], node.plain("axis")),
    "stack": lambda a, node: torch.stack(a["values"], node.plain("axis")),
    "split": _split,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "tile": lambda a, node: a["x"].repeat(node.plain("reps")),
    "reverse": lambda a, node: a["x"].flip(node.plain("axes") or list(range(a["x"].dim()))),
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "select": lambda a, node: torch.where(a["cond"], a["a"], a["b"]),
    "pad": windows.pad,
    "max_pool": windows.max_pool,
    "relu": _one(F.relu),
    "maximum": _two(torch.maximum),
    "minimum": _two(torch.minimum),
    "reduce_max": _reduce(torch.amax),
    "reduce_min": _reduce(torch.amin),
    "pixel_shuffle": lambda a, node: F.pixel_shuffle(a["x"], node.plain("upscale_factor")),
    "pixel_unshuffle": lambda a, node: F.pixel_unshuffle(a["x"], node.plain("downscale_factor")),
    "depth_to_space": lambda a, node: F.pixel_shuffle(a["x"], node.plain("block_size")),
    "upsample_nearest_neighbor": resizing.upsample_nearest_neighbor,
    "resize_nearest_neighbor": resizing.resize_nearest_neighbor,
}

EXACT = frozenset(_PLACES)
"""These only move or choose numbers, so a result is of fp16 if the arguments were."""

TABLE: Mapping[str, Function] = {
    **_PLACES,
    "add": _two(torch.add),
    "sub": _two(torch.sub),
    "mul": _two(torch.mul),
    "real_div": _divide,
    "floor_div": _two(torch.floor_divide),
    "mod": _two(torch.remainder),
    "pow": _two(torch.pow),
    "equal": _two(torch.eq),
    "not_equal": _two(torch.ne),
    "less": _two(torch.lt),
    "less_equal": _two(torch.le),
    "greater": _two(torch.gt),
    "greater_equal": _two(torch.ge),
    "logical_and": _two(torch.logical_and),
    "logical_or": _two(torch.logical_or),
    "logical_xor": _two(torch.logical_xor),
    "logical_not": _one(torch.logical_not),
    "abs": _one(torch.abs),
    "ceil": _one(torch.ceil),
    "cos": _one(torch.cos),
    "erf": _one(torch.erf),
    "exp": _one(torch.exp),
    "exp2": _one(torch.exp2),
    "floor": _one(torch.floor),
    "round": _one(torch.round),
    "sign": _one(torch.sign),
    "sin": _one(torch.sin),
    "sqrt": _one(torch.sqrt),
    "square": _one(torch.square),
    "sigmoid": _one(torch.sigmoid),
    "silu": _one(F.silu),
    "softplus": _one(F.softplus),
    "softsign": _one(F.softsign),
    "tanh": _one(torch.tanh),
    "relu6": _one(F.relu6),
    "rsqrt": _with_epsilon(torch.rsqrt),
    "inverse": _with_epsilon(torch.reciprocal),
    "log": _with_epsilon(torch.log),
    "gelu": _gelu,
    "elu": lambda a, node: F.elu(a["x"], node.plain("alpha")),
    "leaky_relu": lambda a, node: F.leaky_relu(a["x"], node.plain("alpha")),
    "prelu": lambda a, node: F.prelu(a["x"], a["alpha"]),
    "clip": lambda a, node: a["x"].clamp(node.plain("alpha"), node.plain("beta")),
    "clamped_relu": lambda a, node: F.leaky_relu(a["x"], node.plain("alpha")).clamp(max=node.plain("beta")),
    "threshold": lambda a, node: a["x"].clamp(min=node.plain("alpha")),
    "thresholded_relu": lambda a, node: torch.where(a["x"] >= a["alpha"], a["x"], 0.0),
    "linear_activation": lambda a, node: a["x"] * node.plain("alpha") + node.plain("beta"),
    "sigmoid_hard": lambda a, node: (a["x"] * node.plain("alpha") + node.plain("beta")).clamp(0, 1),
    "scaled_tanh": lambda a, node: node.plain("alpha") * torch.tanh(node.plain("beta") * a["x"]),
    "softmax": lambda a, node: F.softmax(a["x"], node.plain("axis", -1)),
    "cast": lambda a, node: a["x"].to(KINDS[node.plain("dtype")]),
    "matmul": _matmul,
    "linear": lambda a, node: F.linear(a["x"], a["weight"], a.get("bias")),
    "einsum": lambda a, node: torch.einsum(node.plain("equation"), *a["values"]),
    "scaled_dot_product_attention": _attention,
    "conv": windows.conv,
    "conv_transpose": windows.conv_transpose,
    "avg_pool": windows.avg_pool,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "instance_norm": lambda a, node: F.instance_norm(
        a["x"], weight=a.get("gamma"), bias=a.get("beta"), eps=node.plain("epsilon", 1e-5)
    ),
    "l2_norm": _l2_norm,
    "reduce_mean": _reduce(torch.mean),
    "reduce_sum": _reduce(torch.sum),
    "reduce_l2_norm": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "reduce_l1_norm": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, 1, axes, keep)),
    "reduce_sum_square": _reduce(lambda x, axes, keep: x.square().sum(axes, keep)),
    "reduce_log_sum_exp": _reduce(torch.logsumexp),
    "reduce_argmax": _extreme(torch.argmax),
    "reduce_argmin": _extreme(torch.argmin),
    "upsample_bilinear": resizing.upsample_bilinear,
    "resize_bilinear": resizing.resize_bilinear,
    "fill": _fill,
    "quantize": _quantize,
    "dequantize": _dequantize,
}
