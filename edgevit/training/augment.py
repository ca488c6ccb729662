"""Vary a batch of pictures without changing what they show: turn, mirror, recolour, as a few wide operations."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

_ORDERS = tuple(permutations(range(3)))


def normalise(pictures: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """Turn planes (N, 3, H, W) of whole grey levels, 0..255, into the net's input."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=pictures.device)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=pictures.device)
    return pictures.float().mul_(scale[:, None, None]).add_(offset[:, None, None])


def augment(pictures: Tensor, generator: torch.Generator, *, groups: int = 8) -> Tensor:
    """Vary square planes (N, 3, S, S) of whole grey levels.

    Each of a few groups shares one of the eight turns and mirrorings and one order of the colour channels: a choice a
    picture would need gathers, which cost as much as the net's own step. The renders vary light and place themselves.
    """
    count = len(pictures)
    parts = []
    each = max(1, -(-count // groups))
    for start in range(0, count, each):
        part = pictures[start : start + each]
        kind, order = (int(torch.randint(high, (), generator=generator)) for high in (8, len(_ORDERS)))
        turned = part.transpose(2, 3) if kind & 4 else part
        mirrored = turned.flip([axis + 1 for axis in (1, 2) if kind & axis])
        parts.append(mirrored[:, list(_ORDERS[order])])
    return torch.cat(parts)
