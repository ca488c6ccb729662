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


def halved(module: fx.GraphModule) -> fx.GraphModule:
    """Make the weights and the arithmetic of a graph half, with casts at its inputs and outputs; in place."""
    aten, graph = torch.ops.aten, module.half().graph
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.meta["val"].dtype == torch.float32:
            with graph.inserting_after(node):
                cast = graph.call_function(aten.to.dtype, (node, torch.float16))
            node.replace_all_uses_with(cast, delete_user_cb=lambda user, cast=cast: user is not cast)
        elif node.op == "call_function" and torch.float32 in node.args:
            node.args = tuple(torch.float16 if value is torch.float32 else value for value in node.args)
        elif node.op == "output":
            with graph.inserting_before(node):
                node.args = fx.map_arg(node.args, lambda n: graph.call_function(aten.to.dtype, (n, torch.float32)))
    module.recompile()
    return module


@contextlib.contextmanager
def half_filters() -> Iterator[None]:
    """Write the filters of convolutions inside as the graph has them."""
    from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor

    usual = NodeVisitor.define_tensor

    def define(visitor: Any, tensor: fx.Node, *args: Any, **kwargs: Any) -> None:
        is_filter = kwargs.get("force_fp32") and kwargs.get("convert_to_nhwc")
        if is_filter and tensor.meta["val"].dtype == torch.float16:
            kwargs["force_fp32"] = False
        usual(visitor, tensor, *args, **kwargs)

    NodeVisitor.define_tensor = define
    try:
        yield
    finally:
        NodeVisitor.define_tensor = usual
