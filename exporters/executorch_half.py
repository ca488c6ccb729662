"""Make a graph compute in fp16 between float32 inputs and outputs, and keep its weights in fp16 in the file too.

ExecuTorch writes the weights of convolutions in float32 whatever the graph says, and XNNPACK rounds them when it loads
the file; it takes them rounded just as well (the same answers, measured), in half the bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch import fx

_A = torch.ops.aten
_TRANSPOSED = 6
"""The place among a convolution's arguments of whether it is a transposed one."""
_ROOTS = (_A.rsqrt.default, _A.sqrt.default)
_ON_THE_WAY = (_A.linear.default, _A.mean.dim, _A.reshape.default, _A.view.default, _A.add.Tensor, _A.mul.Tensor)
"""What stands between a square and the root of its mean, in the norms of executorch_norms.py and of the rewrites."""


def halved(module: fx.GraphModule) -> fx.GraphModule:
    """Make the weights and the arithmetic of a graph half, with casts at its inputs and outputs; in place.

    GELU stays float32 between two casts: ExecuTorch hands it to XNNPACK in float32 only. So does what a norm computes
    from its squares to their root: the square of 256 is no number of fp16 any more.
    """
    variances = [chain for node in module.graph.nodes if (chain := _to_the_root(node))]
    kept = {n: attrgetter(str(n.target))(module).clone() for chain in variances for n in _constants(chain)}
    graph = module.half().graph
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.meta["val"].dtype == torch.float32:
            _cast_behind(node, torch.float16)
        elif node.op == "call_function" and torch.float32 in node.args:
            node.args = tuple(torch.float16 if value is torch.float32 else value for value in node.args)
        elif node.target is _A.gelu.default:
            _cast_before(node, torch.float32)
            _cast_behind(node, torch.float16)
        elif node.op == "output":
            _cast_before(node, torch.float32)
    wide = {node: _constant(module, node, value) for node, value in kept.items()}
    for chain in variances:
        for node in chain[1:]:
            node.args = fx.map_arg(node.args, lambda n: wide.get(n, n))
        square, source = chain[0], chain[0].args[0]
        with graph.inserting_before(square):
            cast = graph.call_function(_A.to.dtype, (source, torch.float32))
        square.args = (cast, cast)
        _cast_behind(chain[-1], torch.float16)
    module.recompile()
    return module


def _to_the_root(node: fx.Node) -> list[fx.Node]:
    """Return the nodes from a square to the root of its mean; none where another way leads on from it."""
    if node.target is not _A.mul.Tensor or node.args[0] is not node.args[1]:
        return []
    chain = [node]
    while len(node.users) == 1:
        before, node = node, next(iter(node.users))
        chain.append(node)
        if any(n is not before and n.op != "get_attr" for n in node.all_input_nodes):
            return []
        if node.target in _ROOTS:
            return chain
        if node.target not in _ON_THE_WAY:
            return []
    return []


def _constants(chain: list[fx.Node]) -> Iterator[fx.Node]:
    return (n for node in chain for n in node.all_input_nodes if n.op == "get_attr")


def _constant(module: fx.GraphModule, node: fx.Node, value: torch.Tensor) -> fx.Node:
    """Add a constant beside another one that is the same in half."""
    name = f"{str(node.target).replace('.', '_')}_in_float32"
    module.register_buffer(name, value)
    with module.graph.inserting_before(node):
        return module.graph.get_attr(name)


def _cast_before(node: fx.Node, dtype: torch.dtype) -> None:
    graph = node.graph
    with graph.inserting_before(node):
        node.args = fx.map_arg(node.args, lambda n: graph.call_function(_A.to.dtype, (n, dtype)))


def _cast_behind(node: fx.Node, dtype: torch.dtype) -> None:
    with node.graph.inserting_after(node):
        cast = node.graph.call_function(_A.to.dtype, (node, dtype))
    node.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)


@contextlib.contextmanager
def half_filters() -> Iterator[None]:
    """Write the filters of convolutions inside as the graph has them; XNNPACK takes transposed ones in float32 only."""
    from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor

    usual = NodeVisitor.define_tensor

    def define(visitor: Any, tensor: fx.Node, *args: Any, **kwargs: Any) -> None:
        is_filter = kwargs.get("force_fp32") and kwargs.get("convert_to_nhwc")
        transposed = any(len(user.args) > _TRANSPOSED and user.args[_TRANSPOSED] for user in tensor.users)
        if is_filter and not transposed and tensor.meta["val"].dtype == torch.float16:
            kwargs["force_fp32"] = False
        usual(visitor, tensor, *args, **kwargs)

    NodeVisitor.define_tensor = define
    try:
        yield
    finally:
        NodeVisitor.define_tensor = usual
