"""Say which operators have another, equal form that ExecuTorch's delegates know, and write that form.

A form takes the walk, the node of the old graph (for its shapes) and its arguments in the new one; it returns what
stands there now, or NotImplemented to leave the operator as it is. Every form is exact up to the order of sums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from .executorch_norms import folded_convolution, group_norm, layer_norm, norm, vector_norm
from .executorch_passes import Form, Walk, argument, shape

_A = torch.ops.aten
_BROADCAST = (_A.mul.Tensor, _A.add.Tensor, _A.sub.Tensor, _A.div.Tensor)
_PICTURE = (2, 3)
"""XNNPACK takes means over these dimensions of four only."""


def nothing(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Drop an operator that does nothing in a finished net: dropout, alias, detach."""
    return args[0]


def no_padding(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Drop a pad by zero on every side; quantised, XNNPACK would not even load it (EfficientViT has one)."""
    return NotImplemented if any(args[1]) else args[0]


def broadcast(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Drop an expansion that is none, or that its users do by themselves."""
    same = shape(node.args[0]) == shape(node)
    elementwise = all(user.target in _BROADCAST and shape(user) == shape(node) for user in node.users)
    return args[0] if same or elementwise else NotImplemented


def slices(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Cut by slices: a split has several outputs, which XNNPACK does not take."""
    dim, at, parts = argument(node, 2, "dim", 0), 0, []
    for part in node.meta["val"]:
        parts.append(walk.emit(_A.slice.Tensor, args[0], dim, at, at + part.shape[dim]))
        at += part.shape[dim]
    return parts


def unbound(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take a dimension apart by slices."""
    dim = argument(node, 1, "dim", 0)
    return [_picked(walk, args[0], dim, at, list(part.shape)) for at, part in enumerate(node.meta["val"])]


def selected(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Pick one of a dimension by a slice."""
    size = shape(node.args[0])[args[1]]
    return _picked(walk, args[0], args[1], args[2] % size, shape(node))


def _picked(walk: Walk, x: Any, dim: int, at: int, wanted: list[int]) -> fx.Proxy:
    return walk.emit(_A.reshape.default, walk.emit(_A.slice.Tensor, x, dim, at, at + 1), wanted)


def every_nth(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take every n-th by a reshape and a slice: XNNPACK's slices have no step."""
    step = argument(node, 4, "step", 1)
    if step == 1:
        return NotImplemented
    before, after = shape(node.args[0]), shape(node)
    dim = argument(node, 1, "dim", 0) % len(before)
    if argument(node, 2, "start", 0) not in (0, None) or after[dim] != math.ceil(before[dim] / step):
        return NotImplemented
    x, missing = args[0], after[dim] * step - before[dim]
    if missing:
        x = walk.emit(_A.constant_pad_nd.default, x, [0, 0] * (len(before) - 1 - dim) + [0, missing], 0.0)
    x = walk.emit(_A.reshape.default, x, [*before[:dim], after[dim], step, *before[dim + 1 :]])
    return walk.emit(_A.reshape.default, walk.emit(_A.slice.Tensor, x, dim + 1, 0, 1), after)


def reshaped(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Squeeze by a reshape, which is the one that XNNPACK knows."""
    return walk.emit(_A.reshape.default, args[0], shape(node))


def product(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Multiply stacks of matrices as one stack, without the expansions that a matmul is taken apart into."""
    left, right = (walk.value(n) for n in node.args)
    sizes = [shape(n) for n in node.args]
    if left is not None and left.dim() == 2 and len(sizes[1]) > 2:  # (A X) is (X^T A^T)^T, a layer of weights A
        turned = walk.emit(_A.transpose.int, args[1], -2, -1)
        return walk.emit(_A.transpose.int, walk.emit(_A.linear.default, turned, args[0]), -2, -1)
    if right is not None and right.dim() == 2:
        return walk.emit(_A.linear.default, args[0], walk.constant(right.t()))
    return _product(walk, args[0], sizes[0], args[1], sizes[1])


def _product(walk: Walk, a: Any, a_shape: list[int], b: Any, b_shape: list[int]) -> Any:
    if len(a_shape) < 3 or a_shape[:-2] != b_shape[:-2]:
        return NotImplemented
    if len(a_shape) == 3:
        return walk.emit(_A.bmm.default, a, b)
    flat = [walk.emit(_A.reshape.default, x, [-1, *sizes[-2:]]) for x, sizes in ((a, a_shape), (b, b_shape))]
    return walk.emit(_A.reshape.default, walk.emit(_A.bmm.default, *flat), [*a_shape[:-1], b_shape[-1]])


def softmax(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take softmax over rows of a stack: of four dimensions XNNPACK may hold the channels last, and takes them instead.

    Its partitioner does not look (ExecuTorch 1.5.1), so the stock recipe computes EfficientFormerV2 wrong.
    """
    sizes = shape(node)
    if len(sizes) < 4 or args[1] not in (-1, len(sizes) - 1) or argument(node, 2, "dtype", None) is not None:
        return NotImplemented
    rows = walk.emit(_A.softmax.int, walk.emit(_A.reshape.default, args[0], [-1, *sizes[-2:]]), -1)
    return walk.emit(_A.reshape.default, rows, sizes)


def attention(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take fused attention apart here: ExecuTorch's own way guards against rows that are all masked, at many nodes."""
    query, key, value = args[:3]
    q_shape, k_shape, v_shape = (shape(n) for n in node.args[:3])
    plain = not argument(node, 5, "is_causal", False) and not node.kwargs.get("enable_gqa", False)
    if not plain or argument(node, 3, "attn_mask", None) is not None or q_shape[:-2] != k_shape[:-2]:
        return NotImplemented
    scale = argument(node, 6, "scale", None) or q_shape[-1] ** -0.5
    turned = walk.emit(_A.transpose.int, key, -2, -1)
    query = walk.emit(_A.mul.Tensor, query, _number(walk, node, scale))
    scores = _product(walk, query, q_shape, turned, [*k_shape[:-2], k_shape[-1], k_shape[-2]])
    rows = walk.emit(_A.reshape.default, scores, [-1, q_shape[-2], k_shape[-2]])
    weights = walk.emit(_A.softmax.int, rows, -1)
    return _product(walk, weights, [*q_shape[:-1], k_shape[-2]], value, v_shape)


def mean(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Average as over a picture's height and width, whatever dimensions are meant."""
    sizes = shape(node.args[0])
    dims = sorted(d % len(sizes) for d in args[1])
    if 0 in dims or node.kwargs.get("dtype") is not None:
        return NotImplemented
    if len(sizes) == 4 and tuple(dims) == _PICTURE:
        averaged = walk.emit(_A.mean.dim, args[0], [2, 3], True)
    else:
        kept = [d for d in range(1, len(sizes)) if d not in dims]
        order = [0, *kept, *dims]
        turned = args[0] if order == sorted(order) else walk.emit(_A.permute.default, args[0], order)
        flat = [sizes[0], math.prod(sizes[d] for d in kept), math.prod(sizes[d] for d in dims), 1]
        averaged = walk.emit(_A.mean.dim, walk.emit(_A.reshape.default, turned, flat), [2, 3], True)
    return walk.emit(_A.reshape.default, averaged, shape(node))


def pooled(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Pool to one pixel by a mean."""
    return walk.emit(_A.mean.dim, args[0], [2, 3], True) if list(args[1]) == [1, 1] else NotImplemented


def summed(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Sum over the last dimension, or a picture's channels, by a product with ones: XNNPACK has no sum.

    Left to a plain kernel, the int8 graph in front of it comes out with its axes turned (ExecuTorch 1.5.1).
    """
    sizes = shape(node.args[0])
    dims = [d % len(sizes) for d in args[1]]
    if dims not in ([1], [len(sizes) - 1]) or node.kwargs.get("dtype") is not None:
        return NotImplemented
    if dims == [1] and len(sizes) == 4:
        ones = walk.constant(torch.ones(1, sizes[1], 1, 1))
        return walk.emit(_A.reshape.default, walk.emit(_A.conv2d.default, args[0], ones), shape(node))
    if dims != [len(sizes) - 1]:
        return NotImplemented
    ones = walk.constant(torch.ones(1, sizes[-1]))
    return walk.emit(_A.reshape.default, walk.emit(_A.linear.default, args[0], ones), shape(node))


def silu(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take SiLU apart here: torch's own way computes it in float32, between two casts, whatever the graph says."""
    if len(node.all_input_nodes[0].users) > 1 and node.target is _A.silu_.default:
        return NotImplemented  # somebody else sees what it writes in place
    return walk.emit(_A.mul.Tensor, args[0], walk.emit(_A.sigmoid.default, args[0]))


def gelu(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Write GELU by tanh as the sigmoid that it is: ExecuTorch hands it to XNNPACK as GELU by the error function."""
    if node.kwargs.get("approximate", "none") != "tanh":
        return NotImplemented
    x, twice = args[0], 2 * math.sqrt(2 / math.pi)
    slope = walk.emit(_A.mul.Tensor, walk.emit(_A.mul.Tensor, x, x), _number(walk, node, twice * 0.044715))
    slope = walk.emit(_A.add.Tensor, slope, _number(walk, node, twice))
    return walk.emit(_A.mul.Tensor, x, walk.emit(_A.sigmoid.default, walk.emit(_A.mul.Tensor, x, slope)))


def with_number(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Make a number a tensor of the type around it: left to ExecuTorch it becomes a float32, and a cast of that.

    That cast is a plain kernel, so in fp16 each number would cut the graph in two.
    """
    if not isinstance(args[1], int | float) or node.kwargs:
        return NotImplemented
    return walk.emit(node.target, args[0], _number(walk, node, args[1]))


def _number(walk: Walk, node: fx.Node, value: float) -> fx.Proxy:
    return walk.constant(torch.tensor([value] if shape(node) else value).to(node.meta["val"].dtype))


FORMS: Mapping[Any, Form] = {
    _A.dropout.default: nothing,
    _A.alias.default: nothing,
    _A.detach.default: nothing,
    _A.contiguous.default: nothing,
    _A.pad.default: no_padding,
    _A.constant_pad_nd.default: no_padding,
    _A.expand.default: broadcast,
    _A.expand_as.default: broadcast,
    _A.split.Tensor: slices,
    _A.split_with_sizes.default: slices,
    _A.chunk.default: slices,
    _A.unbind.int: unbound,
    _A.select.int: selected,
    _A.slice.Tensor: every_nth,
    _A.squeeze.default: reshaped,
    _A.squeeze.dim: reshaped,
    _A.squeeze.dims: reshaped,
    _A.matmul.default: product,
    _A.softmax.int: softmax,
    _A.scaled_dot_product_attention.default: attention,
    _A.mean.dim: mean,
    _A.adaptive_avg_pool2d.default: pooled,
    _A.silu.default: silu,
    _A.silu_.default: silu,
    _A.gelu.default: gelu,
    _A.add.Tensor: with_number,
    _A.sub.Tensor: with_number,
    _A.mul.Tensor: with_number,
    _A.div.Tensor: with_number,
    _A.sum.dim_IntList: summed,
    _A.group_norm.default: group_norm,
    _A.layer_norm.default: layer_norm,
    _A.linalg_vector_norm.default: vector_norm,
    _A._assert_tensor_metadata.default: nothing,
    _A.conv2d.default: folded_convolution,
    _A.batch_norm.default: norm,
}
