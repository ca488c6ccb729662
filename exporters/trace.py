"""Rewrite a graph for its target and trace it, once, with torch.export."""

from __future__ import annotations

from dataclasses import replace

import torch

from edgevit.kernels.rewrites import fuse
from edgevit.models import Graph
from edgevit.spec import TensorSpec

from .quiet import converting
from .recipe import Traced

MOST_DYNAMIC_BATCH = 64


def trace(name: str, graph: Graph, *, batch: int, dynamic: bool) -> Traced:
    """Return the graph fused and traced at the asked batch; with ``dynamic`` the batch may vary from 1 to 64."""
    module = fuse(graph.module).requires_grad_(False)  # fuse made a copy; no gradient is ever part of a graph
    example = graph.example(2 if dynamic else batch)
    shapes = tuple({0: torch.export.Dim("batch", min=1, max=MOST_DYNAMIC_BATCH)} for _ in example) if dynamic else None
    hint = " Try without --dynamic." if dynamic else ""
    with converting(f"torch.export cannot trace the graph '{name}'", hint):
        program = torch.export.export(module, example, dynamic_shapes=shapes, strict=False)
    size = -1 if dynamic else batch
    return Traced(
        name=name,
        module=module,
        program=program,
        example=example,
        inputs=tuple(_batched(t, size) for t in graph.inputs),
        outputs=tuple(_batched(t, size) for t in graph.outputs),
    )


def _batched(tensor: TensorSpec, size: int) -> TensorSpec:
    return replace(tensor, shape=(size, *tensor.shape[1:]))
