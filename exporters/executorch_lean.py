"""Spare ExecuTorch's lowering the work that changes nothing, which is most of it.

Where its time goes (SHViT-S1, the stock recipe: 35 s of one core): each part that XNNPACK takes goes through seventeen
passes, and each pass runs the whole part again, whether it finds what it looks for or not; the graph is decomposed
three times; two passes trace attention and resizing anew in twelve variants, to compare; and every node carries copies
of the history of all nodes it was made from. Fewer parts and fewer nodes (executorch_forms.py) are the larger half of
the remedy; this is the other. Nothing here changes the file: tests/exporters/test_executorch.py compares the bytes.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.fx.traceback import NodeSource

from .executorch_casts import configurations, keeping_casts

_REVERTING = "DimOrderOpsRevertPass"
_LOOKS_FOR: Mapping[str, tuple[str, ...]] = {
    "XNNPACKRemoveCloneOpsTransform": ("clone", "dim_order"),
    _REVERTING: ("dim_order",),
    "ConvertToUpsampleBilinear2d": ("index",),
    "PropagateCustomMetaPass": ("quantize",),
    "ConvertToSDPAPass": ("mul.Scalar",),
    "FuseBatchNormPass": ("batch_norm",),
    "DecomposeBatchNorm": ("batch_norm",),
    "FuseActivationPass": ("relu", "hardtanh"),
    "DecomposeConcatenate": ("cat",),
    "RemoveGetItemPass": ("max_pool2d_with_indices", "max.dim"),
    "InsertPadQDQPass": ("constant_pad",),
    "PReLUReshapePass": ("prelu",),
}
"""Pass -> parts of the names of the operators that it changes; it is left out where there is none of them.
A pass that is not listed is always run, so that a new one of ExecuTorch's is."""


@contextlib.contextmanager
def lean_lowering() -> Iterator[None]:
    """Lower inside without the passes that have nothing to do, and with one history of nodes that all of them share."""
    from executorch.backends.xnnpack import xnnpack_preprocess

    usual = xnnpack_preprocess.XNNPACKPassManager

    class Lean(usual):  # type: ignore[misc, valid-type]
        def __init__(self, exported_program: torch.export.ExportedProgram, passes: Any = None) -> None:
            super().__init__(exported_program, passes)
            needed = [p for p in self.passes if _has_work(p.__name__, exported_program)]
            self.passes: list[Any] = [keeping_casts(p) if p.__name__ == _REVERTING else p for p in needed]

    with contextlib.ExitStack() as stack:
        stack.callback(setattr, xnnpack_preprocess, "XNNPACKPassManager", usual)
        xnnpack_preprocess.XNNPACKPassManager = Lean
        if "__deepcopy__" not in vars(NodeSource):  # it is written once and then only read
            stack.callback(delattr, NodeSource, "__deepcopy__")
            setattr(NodeSource, "__deepcopy__", lambda source, memo: source)  # noqa: B010
        yield


def _has_work(name: str, program: torch.export.ExportedProgram) -> bool:
    wanted = _LOOKS_FOR.get(name)
    if wanted is None:
        return True
    names = {str(getattr(node.target, "__name__", node.target)) for node in program.graph.nodes}
    return any(part in operator for part in wanted for operator in names)


def lean_partitioner() -> Any:
    """Return XNNPACK's partitioner, which decides once for each operator whether it stays whole.

    It stays where XNNPACK takes every one of its kind. The stock one decides node by node, at the price of decomposing
    the graph twice more.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    class Lean(XnnpackPartitioner):  # type: ignore[misc]
        def ops_to_not_decompose(self, program: torch.export.ExportedProgram) -> tuple[list[Any], None]:
            wanted, fits = super().ops_to_not_decompose(program)
            nodes = defaultdict(list)
            for node in program.graph.nodes:
                nodes[node.target].append(node)
            return [op for op in wanted if op in nodes and all(fits(node) for node in nodes[op])], None

    return Lean(configs=configurations())
