"""Say which of ExecuTorch's passes have work to do in a graph: each one runs the whole graph again to find out.

A pass that is not listed is always run, so that a new one of ExecuTorch's is. Every condition here is one that the
pass itself looks for, told from the nodes and the shapes that stand at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import fx
from torch.fx.passes.infra.pass_base import PassResult

Work = Callable[[fx.Graph], bool]
_A = torch.ops.aten
_PROMOTED = (_A.add.Tensor, _A.sub.Tensor, _A.mul.Tensor, _A.div.Tensor, _A.div.Tensor_mode, _A.minimum.default)
_SYMBOLS = (torch.SymInt, torch.SymFloat, torch.SymBool)
_LINE = 3
"""Dimensions of what a convolution over one of them makes."""


def has_work(name: str, graph: fx.Graph) -> bool:
    """Tell whether a pass would change anything."""
    look = _WORK.get(name)
    return look is None or look(graph)


def if_needed(each: Any) -> Any:
    """Return a pass over a graph module as one that is left out where it has nothing to do."""
    name = str(getattr(each, "__name__", type(each).__name__))
    if name not in _WORK:
        return each
    return lambda module: each(module) if has_work(name, module.graph) else PassResult(module, False)


def writes_in_place(graph: fx.Graph) -> bool:
    """Look for an operator that changes its input."""
    return any(isinstance(n.target, torch._ops.OpOverload) and n.target._schema.is_mutable for n in _calls(graph))


def _calls(graph: fx.Graph) -> Iterator[fx.Node]:
    return (node for node in graph.nodes if node.op == "call_function")


def _named(*parts: str) -> Work:
    """Look for operators with one of these words in their names."""

    def look(graph: fx.Graph) -> bool:
        names = {str(getattr(node.target, "__name__", node.target)) for node in _calls(graph)}
        return any(part in name for part in parts for name in names)

    return look


def _has_transposed(graph: fx.Graph) -> bool:
    return any(node.target is _A.t.default for node in _calls(graph))


def _has_views(graph: fx.Graph) -> bool:
    return any(not isinstance(node.target, torch._ops.OpOverload) or node.target.is_view for node in _calls(graph))


def _has_numbers(graph: fx.Graph) -> bool:
    """Look for a number where the operator takes a tensor."""
    for node in _calls(graph):
        if not isinstance(node.target, torch._ops.OpOverload):
            return True
        wanted = node.target._schema.arguments
        given = [*zip(node.args, wanted, strict=False), *((node.kwargs.get(a.name), a) for a in wanted)]
        if any(isinstance(value, int | float) and isinstance(a.type, torch.TensorType) for value, a in given):
            return True
    return False


def _has_symbols(graph: fx.Graph) -> bool:
    return any(isinstance(node.meta.get("val"), _SYMBOLS) for node in graph.nodes)


def _mixes_types(graph: fx.Graph) -> bool:
    """Look for arithmetic on anything but tensors of one float type."""
    for node in _calls(graph):
        if node.target in _PROMOTED:
            values = [arg.meta.get("val") if isinstance(arg, fx.Node) else None for arg in node.args[:2]]
            kinds = {value.dtype if isinstance(value, torch.Tensor) else None for value in values}
            if len(kinds) > 1 or kinds & {None} or not next(iter(kinds)).is_floating_point:  # type: ignore[union-attr]
                return True
    return False


def _has_lines(graph: fx.Graph) -> bool:
    """Look for a convolution over one dimension."""
    convolutions = (node for node in _calls(graph) if "convolution" in str(getattr(node.target, "__name__", "")))
    return any(node.meta["val"].dim() == _LINE for node in convolutions)


def _has_sources(graph: fx.Graph) -> bool:
    """Look for an operator that reads nothing: a constant."""
    return any(not node.all_input_nodes for node in _calls(graph))


_WORK: Mapping[str, Work] = {
    # of the way into ExecuTorch's own operators
    "NormalizeTransposePass": _has_transposed,
    "ReplaceBrokenOpsWithFunctionalOpsPass": _has_views,
    "ScalarToTensorPass": _has_numbers,
    "SymToTensorPass": _has_symbols,
    "RemoveMixedTypeOperators": _mixes_types,
    # of XNNPACK's part
    "XNNPACKRemoveCloneOpsTransform": _named("clone", "dim_order"),
    "DimOrderOpsRevertPass": _named("dim_order"),
    "ConvertToUpsampleBilinear2d": _named("index"),
    "PropagateCustomMetaPass": _named("quantize"),
    "ConvertToSDPAPass": _named("mul.Scalar"),
    "ConstPropPass": _has_sources,
    "FuseBatchNormPass": _named("batch_norm"),
    "DecomposeBatchNorm": _named("batch_norm"),
    "FuseActivationPass": _named("relu", "hardtanh"),
    "DecomposeConcatenate": _named("cat"),
    "RemoveGetItemPass": _named("max_pool2d_with_indices", "max.dim"),
    "InsertPadQDQPass": _named("constant_pad"),
    "Conv1dUnsqueezePass": _has_lines,
    "PReLUReshapePass": _named("prelu"),
    # of what is left over
    "LegalizePortableDimOrderPass": _named("avg_pool2d", "expand_copy", "mean", "sum"),
}
