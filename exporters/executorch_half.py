"""Make a graph compute in fp16 between float32 inputs and outputs, and keep its weights in fp16 in the file too.

ExecuTorch writes the weights of convolutions in float32 whatever the graph says, and XNNPACK rounds them when it loads
the file; it takes them rounded just as well (the same answers, measured), in half the bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

_TRANSPOSED = 6
"""The place among a convolution's arguments of whether it is a transposed one."""


def halved(module: fx.GraphModule) -> fx.GraphModule:
    """Make the weights and the arithmetic of a graph half, with casts at its inputs and outputs; in place.

    GELU stays float32 between two casts: ExecuTorch hands it to XNNPACK in float32 only.
    """
    graph = module.half().graph
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.meta["val"].dtype == torch.float32:
            _cast_behind(node, torch.float16)
        elif node.op == "call_function" and torch.float32 in node.args:
            node.args = tuple(torch.float16 if value is torch.float32 else value for value in node.args)
        elif node.target is torch.ops.aten.gelu.default:
            _cast_before(node, torch.float32)
            _cast_behind(node, torch.float16)
        elif node.op == "output":
            _cast_before(node, torch.float32)
    module.recompile()
    return module


def _cast_before(node: fx.Node, dtype: torch.dtype) -> None:
    graph = node.graph
    with graph.inserting_before(node):
        node.args = fx.map_arg(node.args, lambda n: graph.call_function(torch.ops.aten.to.dtype, (n, dtype)))


def _cast_behind(node: fx.Node, dtype: torch.dtype) -> None:
    with node.graph.inserting_after(node):
        cast = node.graph.call_function(torch.ops.aten.to.dtype, (node, dtype))
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
