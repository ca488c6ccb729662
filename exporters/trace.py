"""Rewrite a graph for its target and trace it, once, with torch.export."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn

from edgevit.errors import ConversionError, reason
from edgevit.kernels.rewrites import fuse
from edgevit.models import Graph
from edgevit.spec import TensorSpec

from .quiet import quiet
from .recipe import Traced

MOST_DYNAMIC_BATCH = 64


def trace(name: str, graph: Graph, *, batch: int, dynamic: bool) -> Traced:
    """Return the graph fused and traced at the asked batch; with ``dynamic`` the batch may vary from 1 to 64."""
    module = fuse(graph.module)
    example = graph.example(2 if dynamic else batch)
    shapes = tuple({0: torch.export.Dim("batch", min=1, max=MOST_DYNAMIC_BATCH)} for _ in example) if dynamic else None
    with quiet() as noise:
        try:
            program = torch.export.export(_plain(module), example, dynamic_shapes=shapes, strict=False)
        except Exception as exc:
            hint = " Try without --dynamic." if dynamic else ""
            raise ConversionError(
                f"torch.export cannot trace the graph '{name}': {reason(exc)}{hint} {noise.tail()}"
            ) from exc
    size = -1 if dynamic else batch
    return Traced(
        name=name,
        module=module,
        program=program,
        example=example,
        inputs=tuple(_batched(t, size) for t in graph.inputs),
        outputs=tuple(_batched(t, size) for t in graph.outputs),
    )


def _plain(module: nn.Module) -> nn.Module:
    """Return the module with its parameters frozen, so that no gradient is ever part of a graph."""
    frozen = copy.deepcopy(module)
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    return frozen


def _batched(tensor: TensorSpec, size: int) -> TensorSpec:
    return replace(tensor, shape=(size, *tensor.shape[1:]))
