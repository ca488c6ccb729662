"""Write norms in the forms that ExecuTorch's delegates know: XNNPACK has none, and convolutions take BatchNorms in.

Each form is called as executorch_forms.py says, and is listed there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from .executorch_passes import Walk, argument, shape

_A = torch.ops.aten


def group_norm(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Normalise over all channels at once by two means: XNNPACK has no group norm."""
    weight, bias = (walk.value(argument(node, place, name, None)) for place, name in ((2, "weight"), (3, "bias")))
    sizes, eps = shape(node.args[0]), argument(node, 4, "eps", 1e-5)
    if args[1] != 1 or weight is None or bias is None or len(sizes) != 4:
        return NotImplemented
    flat = [sizes[0], 1, sizes[1] * sizes[2], sizes[3]]

    def average(x: Any) -> fx.Proxy:
        return walk.emit(_A.mean.dim, walk.emit(_A.reshape.default, x, flat), [2, 3], True)

    centred = walk.emit(_A.sub.Tensor, args[0], average(args[0]))
    variance = average(walk.emit(_A.mul.Tensor, centred, centred))
    return _rescaled(walk, centred, variance, eps, weight.view(1, -1, 1, 1), bias.view(1, -1, 1, 1))


def layer_norm(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Normalise the last dimension by two layers of equal weights: XNNPACK has neither the norm nor such a mean."""
    weight, bias = (walk.value(argument(node, place, name, None)) for place, name in ((2, "weight"), (3, "bias")))
    sizes, eps = shape(node.args[0]), argument(node, 4, "eps", 1e-5)
    if list(args[1]) != sizes[-1:]:
        return NotImplemented
    dtype = node.meta["val"].dtype
    weight = torch.ones(sizes[-1], dtype=dtype) if weight is None else weight
    bias = torch.zeros(sizes[-1], dtype=dtype) if bias is None else bias
    share = walk.constant(torch.full((1, sizes[-1]), 1 / sizes[-1], dtype=dtype))
    centred = walk.emit(_A.sub.Tensor, args[0], walk.emit(_A.linear.default, args[0], share))
    variance = walk.emit(_A.linear.default, walk.emit(_A.mul.Tensor, centred, centred), share)
    return _rescaled(walk, centred, variance, eps, weight, bias)


def vector_norm(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take the length of the last dimension by its mean square: XNNPACK has no sum, and in fp16 a sum may overflow."""
    sizes, order = shape(node.args[0]), argument(node, 1, "ord", 2)
    dims = argument(node, 2, "dim", None)
    if order != 2 or dims is None or [d % len(sizes) for d in dims] != [len(sizes) - 1] or node.kwargs.get("dtype"):
        return NotImplemented
    dtype = node.meta["val"].dtype
    share = walk.constant(torch.full((1, sizes[-1]), 1 / sizes[-1], dtype=dtype))
    mean_square = walk.emit(_A.linear.default, walk.emit(_A.mul.Tensor, args[0], args[0]), share)
    root = walk.constant(torch.tensor([sizes[-1] ** 0.5], dtype=dtype))
    length = walk.emit(_A.mul.Tensor, walk.emit(_A.sqrt.default, mean_square), root)
    return length if len(shape(node)) == len(sizes) else walk.emit(_A.reshape.default, length, shape(node))


def _rescaled(walk: Walk, centred: Any, variance: Any, eps: float, weight: torch.Tensor, bias: torch.Tensor) -> Any:
    shifted = walk.emit(_A.add.Tensor, variance, walk.constant(torch.tensor([eps]).to(weight.dtype)))
    inverse = walk.emit(_A.rsqrt.default, shifted)
    scale = walk.emit(_A.mul.Tensor, inverse, walk.constant(weight))
    return walk.emit(_A.add.Tensor, walk.emit(_A.mul.Tensor, centred, scale), walk.constant(bias))


def folded_convolution(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Take the BatchNorm behind a convolution into its weights."""
    norm = _norm_behind(walk, node)
    if norm is None:
        return NotImplemented
    weight, bias = walk.value(node.args[1]), walk.value(argument(node, 2, "bias", None))
    gamma, beta, mean_, var = (walk.value(n) for n in norm.args[1:5])
    assert weight is not None
    assert mean_ is not None
    assert var is not None
    eps = argument(norm, 7, "eps", 1e-5)
    factor = (var.double() + eps).rsqrt() * (1 if gamma is None else gamma.double())
    shift = (0 if bias is None else bias.double()) - mean_.double()
    new_bias = shift * factor + (0 if beta is None else beta.double())
    new_weight = weight.double() * factor.view(-1, 1, 1, 1)
    made = [walk.constant(t.to(weight.dtype)) for t in (new_weight, new_bias)]
    return walk.emit(_A.conv2d.default, args[0], *made, *args[3:])


def norm(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """Drop a BatchNorm that the convolution in front of it took in."""
    before = node.args[0]
    return args[0] if isinstance(before, fx.Node) and _norm_behind(walk, before) is node else NotImplemented


def _norm_behind(walk: Walk, node: fx.Node) -> fx.Node | None:
    """Return the BatchNorm that is a convolution's only reader, if all its numbers are known."""
    user = next(iter(node.users), None)
    if node.target is not _A.conv2d.default or len(node.users) != 1 or user is None:
        return None
    if user.target is not _A.batch_norm.default or user.args[0] is not node or walk.value(node.args[1]) is None:
        return None
    given = [n for n in user.args[1:5] if n is not None]
    return user if user.args[3] is not None and all(walk.value(n) is not None for n in given) else None
