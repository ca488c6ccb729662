"""Rewrite a graph for its target and trace it, once, with torch.export."""

from __future__ import annotations

from dataclasses import replace

import torch

from edgevit.kernels.rewrites import fold_normalisation, rewrite
from edgevit.models import Graph
from edgevit.spec import ImageSpec, TensorSpec

from .quiet import converting
from .recipe import Traced

MOST_DYNAMIC_BATCH = 64


def trace(
    name: str, graph: Graph, target: str, *, batch: int, dynamic: bool, inside: ImageSpec | None = None
) -> Traced:
    """Return the graph rewritten for its target and traced at the asked batch; ``dynamic`` lets it vary from 1 to 64.

    With ``inside`` the graph takes grey levels and normalises by itself, as that spec says.
    """
    module = rewrite(graph.module, target).requires_grad_(False)  # a copy; no gradient is ever part of a graph
    example = graph.example(2 if dynamic else batch)
    if inside is not None:
        module = fold_normalisation(module, inside.mean, inside.std, size_hw=inside.size_hw)
        example = tuple((255 * e).to(torch.uint8) for e in example)
    shapes = tuple({0: torch.export.Dim("batch", min=1, max=MOST_DYNAMIC_BATCH)} for _ in example) if dynamic else None
    nearest = "Try without --dynamic" if dynamic else "Take Python branches on tensor values out of its forward"
    with converting(f"torch.export cannot trace the graph '{name}'", nearest):
        program = torch.export.export(module, example, dynamic_shapes=shapes, strict=False)
    size, dtype = -1 if dynamic else batch, "uint8" if inside else "float32"
    return Traced(
        name=name,
        module=module,
        program=program,
        example=example,
        inputs=tuple(_batched(replace(t, dtype=dtype), size) for t in graph.inputs),
        outputs=tuple(_batched(t, size) for t in graph.outputs),
        values="levels" if inside else "normalised",
    )


def _batched(tensor: TensorSpec, size: int) -> TensorSpec:
    return replace(tensor, shape=(size, *tensor.shape[1:]))
