"""Lower small nets to .pte files for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from edgevit.exporters.quiet import quiet
from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec

GRAPH = GraphFile(
    "model.pte",
    "main",
    (TensorSpec("image", (1, 3, 8, 8)),),
    (TensorSpec("twice", (1, 3, 8, 8)), TensorSpec("mean", (1, 3))),
    "executed",
)


class TwoWays(nn.Module):
    """Answer with two tensors, one by XNNPACK alone, one that only a plain kernel can finish."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = image.mean((2, 3), keepdim=True)
        sums = means.cumsum(1)
        before = torch.cat([torch.zeros(1, 1, 1, 1), sums[:, :2]], 1)
        return image + image, (sums - before).reshape(1, 3)


def two_ways(path: Path) -> Path:
    """Write a program with a delegate, an operator outside it, and two outputs."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with quiet():
        program = torch.export.export(TwoWays(), (torch.zeros(1, 3, 8, 8),))
        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        path.write_bytes(edge.to_executorch().buffer)
    return path
