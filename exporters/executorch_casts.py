"""Let XNNPACK take the casts between fp32 and fp16 too: left to plain kernels, each one cuts the graph in two.

XNNPACK converts between the two by itself; ExecuTorch asks that of it in front of dynamic int8 only. With the casts
inside, an fp16 file is one part from the app's float32 to the app's float32, and an operator that ExecuTorch takes in
float32 only (GELU) stays in that part, between two casts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

_CAST = "dim_order_ops._to_dim_order_copy.default"
_FLOATS = {torch.float32, torch.float16}


def is_float_cast(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Tell whether one tensor is the other in the other float type, with its numbers in the same order."""
    return {before.dtype, after.dtype} == _FLOATS and before.dim_order() == after.dim_order()


def configurations() -> list[type[Any]]:
    """Return what XNNPACK's partitioner goes by, with the casts among it."""
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
    from executorch.backends.xnnpack.partition.config.generic_node_configs import ToDimOrderCopyConfig

    class Casts(ToDimOrderCopyConfig):  # type: ignore[misc]
        def check_constraints(self, node: fx.Node, ep: torch.export.ExportedProgram) -> bool:
            if is_float_cast(node.all_input_nodes[0].meta["val"], node.meta["val"]):
                return bool(self.check_common_constraints(node, ep))
            return bool(super().check_constraints(node, ep))

    return [Casts if config is ToDimOrderCopyConfig else config for config in ALL_PARTITIONER_CONFIGS]


def keeping_casts(reverting: type[Any]) -> type[Any]:
    """Return ExecuTorch's pass that turns orders of dimensions into memory formats, as one that leaves casts alone.

    What it makes of a cast would be written into the file as a transposition.
    """

    class KeepingCasts(reverting):  # type: ignore[misc]
        def call_operator(self, op: Any, args: Any, kwargs: Any, meta: Any) -> Any:
            if op.__name__ == _CAST and kwargs.get("dtype") in _FLOATS and args[0].data.dtype != kwargs["dtype"]:
                return super(reverting, self).call_operator(op, args, kwargs, meta)
            return super().call_operator(op, args, kwargs, meta)

    return KeepingCasts


@contextlib.contextmanager
def written_casts() -> Iterator[None]:
    """Write the casts inside as XNNPACK's conversions."""
    from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor, _node_visitor_dict
    from executorch.backends.xnnpack.serialization.xnnpack_graph_schema import XNNConvert, XNode

    class Cast(NodeVisitor):  # type: ignore[misc]
        target = _CAST

        def define_node(
            self, node: fx.Node, xnn_graph: Any, vals_to_ids: dict[fx.Node, int], debug_handle: int
        ) -> None:
            self.define_nodes_tensor_inputs_outputs(node, xnn_graph, vals_to_ids)
            made = XNNConvert(input_id=vals_to_ids[node.all_input_nodes[0]], output_id=vals_to_ids[node], flags=0)
            xnn_graph.xnodes.append(XNode(xnode_union=made, debug_handle=debug_handle))

    usual = _node_visitor_dict.get(_CAST)
    _node_visitor_dict[_CAST] = Cast
    try:
        yield
    finally:
        if usual is None:
            del _node_visitor_dict[_CAST]
        else:
            _node_visitor_dict[_CAST] = usual
