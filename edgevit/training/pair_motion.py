"""Pose objects and cameras: where each lies in the template's crop and in the search crop, and what box that makes.

World coordinates have the object's middle at 0, and the root of its box's area is 1, in each of the two frames. The
object bends by ``bent``, which takes places of the posed object to places of its canvas; it is inverted by iteration.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TEMPLATE_FACTOR = 2.0
SEARCH_FACTOR = 4.0


class Draws:
    """Draw numbers for ``count`` pairs; all come from the processor's generator, so every device draws alike."""

    def __init__(self, seed: int, step: int, count: int) -> None:
        self._generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % (1 << 62))
        self.count = count

    def unit(self, *shape: int) -> Tensor:
        return torch.rand((self.count, *shape), generator=self._generator)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * self.unit(*shape)

    def normal(self, sigma: float, limit: float, *shape: int) -> Tensor:
        return (sigma * torch.randn((self.count, *shape), generator=self._generator)).clamp(-limit, limit)

    def chance(self, share: float) -> Tensor:
        return self.unit() < share

    def whole(self, below: int, *shape: int) -> Tensor:
        return (self.unit(*shape) * below).long().clamp(max=below - 1)


@dataclass(frozen=True)
class Poses:
    """Hold N poses: ``turn`` (N, 2, 2) takes canvas places to the world, around ``centre`` (N, 2).

    ``bend`` (N, 2, 3) are the size, the pace and the start of two waves, ``lean`` (N, 2) the perspective.
    """

    turn: Tensor
    centre: Tensor
    bend: Tensor
    lean: Tensor

    def to(self, device: torch.device) -> Poses:
        return Poses(self.turn.to(device), self.centre.to(device), self.bend.to(device), self.lean.to(device))

    def take(self, rows: Tensor) -> Poses:
        return Poses(self.turn[rows], self.centre[rows], self.bend[rows], self.lean[rows])

    def local(self, world: Tensor) -> Tensor:
        """Return canvas places (N, ..., 2) of places in the world (N, ..., 2)."""
        flat = (world - _spread(self.centre, world)).flatten(1, -2)
        straight = flat @ _inverse(self.turn).transpose(1, 2)
        return self.bent(straight).view(world.shape)

    def bent(self, straight: Tensor) -> Tensor:
        """Bend places (N, K, 2): by perspective, then by waves."""
        depth = 1 + (straight * self.lean[:, None]).sum(-1, keepdim=True)
        flat = straight / depth.clamp(min=0.2)
        return flat + self._waves(flat)

    def world(self, local: Tensor) -> Tensor:
        """Return places in the world (N, K, 2) of canvas places (N, K, 2): ``local`` undone."""
        flat = local
        for _ in range(8):  # the waves are gentle: each turn halves what is left, at least
            flat = local - self._waves(flat)
        straight = flat / (1 - (flat * self.lean[:, None]).sum(-1, keepdim=True))
        return straight @ self.turn.transpose(1, 2) + self.centre[:, None]

    def _waves(self, places: Tensor) -> Tensor:
        size, pace, start = (self.bend[:, None, :, k] for k in range(3))
        return size * torch.sin(pace * places.flip(-1) + start)

    def box(self, reach: Tensor) -> Tensor:
        """Return (N, 4), x1 y1 x2 y2 in the world, around the farthest points of a cover."""
        points = self.world(reach)
        return torch.cat((points.amin(1), points.amax(1)), 1)

    def scaled(self, factor: Tensor) -> Poses:
        """Return the poses shrunk or grown around the world's middle."""
        return Poses(self.turn * factor[:, None, None], self.centre * factor[:, None], self.bend, self.lean)


@dataclass(frozen=True)
class Crops:
    """Hold the squares that are cut out of the world: ``centre`` (N, 2) and ``side`` (N,)."""

    centre: Tensor
    side: Tensor

    def to(self, device: torch.device) -> Crops:
        return Crops(self.centre.to(device), self.side.to(device))

    def normalised(self, box: Tensor) -> Tensor:
        """Return (N, 4) boxes of the world as cx cy w h in 0..1 of the crop."""
        low, high = box[:, :2], box[:, 2:]
        corner = (self.centre - self.side[:, None] / 2)[:, :]
        return torch.cat((((low + high) / 2 - corner), high - low), 1) / self.side[:, None]


def first_poses(draws: Draws, half_px: Tensor, natural: Tensor) -> Poses:
    """Pose the targets as the template sees them: nearly as they were cut, or mirrored, tilted and stretched."""
    ratio = (half_px[:, 0] / half_px[:, 1]).log()
    drawn_out = torch.where(draws.chance(0.25), draws.normal(0.7, 1.3), draws.normal(0.25, 0.5))
    ratio = (ratio + torch.where(natural, torch.zeros(()), drawn_out)).clamp(-1.7, 1.7)
    stretch = torch.stack(((ratio / 2).exp(), (-ratio / 2).exp()), 1) / 2
    stretch[:, 0] *= torch.where(draws.chance(0.5), -1.0, 1.0)
    angle = draws.normal(0.35, 1.0) * draws.chance(0.5) * ~natural
    turn = turned(angle) * stretch[:, None]
    return Poses(turn, torch.zeros(draws.count, 2), _bends(draws, 0.05), _leans(draws, natural, 0.06))


def next_poses(draws: Draws, before: Poses, natural: Tensor) -> Poses:
    """Pose the targets some frames later: turned, nearer, seen from another side, bent otherwise."""
    angle = torch.where(draws.chance(0.25), draws.normal(0.5, 1.2), draws.normal(0.1, 0.3))
    ratio = torch.where(draws.chance(0.25), draws.normal(0.45, 0.9), draws.normal(0.12, 0.4))
    stretch = torch.stack(((ratio / 2).exp(), (-ratio / 2).exp()), 1)
    turn = turned(angle) @ (torch.diag_embed(stretch) @ before.turn)
    bend = _bends(draws, 0.10)
    same = draws.chance(0.3)[:, None, None]
    return Poses(turn, before.centre, torch.where(same, before.bend, bend), _leans(draws, natural, 0.15))


def around(draws: Draws, box: Tensor) -> Crops:
    """Cut the search crop: four times the box of the frame before, which was elsewhere and of another size."""
    size = (box[:, 2:] - box[:, :2]).prod(1).sqrt()
    side = SEARCH_FACTOR * size * torch.where(draws.chance(0.3), draws.normal(0.3, 0.5), draws.normal(0.12, 0.4)).exp()
    near, far = draws.normal(0.07, 0.3, 2), draws.between(-0.42, 0.42, 2)
    offset = torch.where(draws.chance(0.6)[:, None], near, far)
    return Crops((box[:, :2] + box[:, 2:]) / 2 + offset * side[:, None], side)


def exactly(draws: Draws, box: Tensor) -> Crops:
    """Cut the template: twice the box, which a person drew and not quite exactly."""
    size = (box[:, 2:] - box[:, :2]).prod(1).sqrt()
    side = TEMPLATE_FACTOR * size * draws.normal(0.03, 0.08).exp()
    return Crops((box[:, :2] + box[:, 2:]) / 2 + draws.normal(0.02, 0.05, 2) * size[:, None], side)


def unit_sized(poses: Poses, reach: Tensor) -> tuple[Poses, Tensor]:
    """Return the poses with the root of their boxes' area at 1, and the boxes."""
    box = poses.box(reach)
    factor = 1 / (box[:, 2:] - box[:, :2]).prod(1).sqrt().clamp(min=1e-3)
    return poses.scaled(factor), box * factor[:, None]


def loose_poses(draws: Draws, half_px: Tensor, low: float, high: float) -> Poses:
    """Pose things that are not the target; their centres are for the caller to say."""
    poses = first_poses(draws, half_px, torch.zeros(draws.count, dtype=torch.bool))
    return poses.scaled(draws.between(low, high))


def turned(angle: Tensor) -> Tensor:
    """Return (N, 2, 2) rotations."""
    return torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), 1).view(-1, 2, 2)


def _inverse(turn: Tensor) -> Tensor:
    """Return the inverse of (N, 2, 2), written out: a solver takes far longer."""
    a, b, c, d = turn.flatten(1).unbind(1)
    return torch.stack((d, -b, -c, a), 1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]


def _bends(draws: Draws, most: float) -> Tensor:
    size = draws.between(0, most, 2) * draws.chance(0.7)[:, None]
    return torch.stack((size, draws.between(1.0, 4.0, 2), draws.between(0, 6.2832, 2)), 2)


def _leans(draws: Draws, natural: Tensor, most: float) -> Tensor:
    # A photograph bends as a whole, and far from its object a perspective has a horizon.
    return draws.between(-most, most, 2) * ~natural[:, None]


def _spread(value: Tensor, like: Tensor) -> Tensor:
    return value.view(len(value), *(1,) * (like.ndim - 2), 2)
