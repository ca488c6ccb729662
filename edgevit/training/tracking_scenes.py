"""Render pairs for the tracker in batches: the target as the template shows it, the search crop, and the true box.

Two kinds are mixed. A natural pair is one photograph seen twice: the target and all around it are real, and bend and
turn together. In a composed pair an object is cut out and laid on another photograph, and moves by itself. Nothing is
drawn but the two crops, at their own resolution; a step's pairs depend on the seed and the step alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .pair_cuts import Cuts, cut_objects
from .pair_fade import fade
from .pair_light import Light
from .pair_motion import (
    Crops,
    Draws,
    Poses,
    around,
    exactly,
    first_poses,
    loose_poses,
    next_poses,
    turned,
    unit_sized,
)
from .pair_paint import Painter
from .pair_textures import SIDE, Textures

_CHUNK = 32
"""Pairs drawn at a time: more of them do not fit in a processor's cache."""
_NATURAL_PX = (20.0, 110.0)
"""Sizes of a target in its photograph, between too few pixels to know and too many to see around."""


@dataclass(frozen=True)
class Shares:
    """Say how often things happen."""

    natural: float = 0.4
    absent: float = 0.12
    look_alike: float = 0.4
    stranger: float = 0.4
    occluded: float = 0.25
    grey: float = 0.1


@dataclass(frozen=True)
class Pairs:
    """Hold crops (N, 3, T, T) and (N, 3, S, S) of uint8, the box in each as cx cy w h in 0..1, and presence."""

    templates: Tensor
    searches: Tensor
    boxes_cxcywh: Tensor
    template_boxes_cxcywh: Tensor
    present: Tensor


class Scenes:
    """Draw pairs out of photographs; ``template_px`` and ``search_px`` are multiples of 16."""

    def __init__(
        self,
        textures: Textures,
        *,
        template_px: int,
        search_px: int,
        seed: int,
        device: str = "cpu",
        shares: Shares | None = None,
        cuts: Cuts | None = None,
    ) -> None:
        self._paint, self._count = Painter(textures, cuts or cut_objects(textures, seed), device), len(textures)
        self._template_px, self._search_px, self._seed = template_px, search_px, seed
        self._shares = shares or Shares()
        self._chunk = _CHUNK if device == "cpu" else 512
        self._light = Light(max(template_px, search_px), seed, device)

    @torch.no_grad()
    def render(self, step: int, count: int) -> Pairs:
        """Render the pairs of a step."""
        chunks = [
            self._render(Draws(self._seed, step * 4096 + number, min(self._chunk, count - start)))
            for number, start in enumerate(range(0, count, self._chunk))
        ]
        return Pairs(*(torch.cat([getattr(chunk, field.name) for chunk in chunks]) for field in fields(Pairs)))

    def _render(self, draws: Draws) -> Pairs:
        paint, table, shares, count = self._paint, self._paint.table, self._shares, draws.count
        target = draws.whole(len(table))
        half = table.half_px[target]
        size_px = 2 * half.prod(1).sqrt()
        # The first of a batch, so that rows which end alike stand together (see ``Painter.backdrop``).
        first_rows = round(shares.natural * count)
        natural = (torch.arange(count) < first_rows) & table.clear[target]
        natural &= (size_px > _NATURAL_PX[0]) & (size_px < _NATURAL_PX[1])
        absent = draws.chance(shares.absent)
        first = first_poses(draws, half, natural)
        later = next_poses(draws, first, natural)
        first, first_box = unit_sized(first, table.reach[target])
        later, box = unit_sized(later, table.reach[target])
        close, wide = exactly(draws, first_box), around(draws, box)

        photo = torch.where(natural, table.photo[target], draws.whole(self._count))
        elsewhere = absent & natural
        still, moved = _backdrops(draws)
        photos = paint.fetch(photo)
        templates = paint.backdrop(first, still, close, natural, photos, target, self._template_px, first_rows)
        away, other = elsewhere.nonzero()[:, 0], draws.whole(self._count)
        photos[away.to(paint.device)] = paint.fetch(other[away])
        searches = paint.backdrop(later, moved, wide, natural & ~elsewhere, photos, target, self._search_px, first_rows)

        self._clutter(
            templates, draws, close, draws.chance(0.75 * shares.stranger), draws.whole(len(table)), (0.9, 1.3)
        )
        colours = _tints(draws, 0.12)
        self._paint.lay(templates, ~natural, target, first, close, _tints(draws, 0.0))
        kin = target // table.by_photo * table.by_photo + draws.whole(table.by_photo)
        alike = torch.where(draws.chance(0.5), target, kin)
        self._clutter(searches, draws, wide, draws.chance(shares.look_alike), alike, (1.0, 2.2), swapped=True)
        self._clutter(
            searches,
            draws,
            wide,
            draws.chance(shares.stranger),
            draws.whole(len(table)),
            (0.8, 2.2),
        )
        # An absent target has left an empty place, or something else stands there.
        taken = absent & draws.chance(0.6)
        shown = torch.where(taken, draws.whole(len(table)), target)
        self._paint.lay(searches, (~natural & ~absent) | taken, shown, later, wide, colours)
        occluded = draws.chance(shares.occluded) & ~absent
        self._clutter(searches, draws, wide, occluded, draws.whole(len(table)), (0.35, 0.6), sizes=(0.35, 0.7))

        grey = draws.chance(shares.grey)
        templates = self._light.spoil(templates, draws, grey, blurred=slice(2, None, 5), coarse=slice(0, None, 3))
        searches = self._light.spoil(searches, draws, grey, blurred=slice(0, None, 3), coarse=slice(1, None, 4))
        ratio = (first_box[:, 2] - first_box[:, 0]) / (first_box[:, 3] - first_box[:, 1])
        templates = fade(templates, (ratio * draws.normal(0.05, 0.15).exp()).to(templates.device))
        boxes = wide.normalised(box), close.normalised(first_box), ~absent
        return Pairs(templates, searches, *(part.to(self._paint.device) for part in boxes))

    def _clutter(
        self,
        canvas: Tensor,
        draws: Draws,
        crops: Crops,
        shown: Tensor,
        which: Tensor,
        far: tuple[float, float],
        *,
        swapped: bool = False,
        sizes: tuple[float, float] = (0.6, 1.3),
    ) -> None:
        """Lay something else near the target, ``far`` from its middle in units of its size."""
        poses = loose_poses(draws, self._paint.table.half_px[which], *sizes)
        angle, distance = draws.between(0, 6.2832), draws.between(*far)
        centre = torch.stack((angle.cos(), angle.sin()), 1) * distance[:, None]
        poses = replace(poses, centre=centre)
        tints = _tints(draws, 0.35 if swapped else 0.15)
        if swapped:
            # A copy in the target's own colours, with nothing to tell it by, would teach to guess.
            order = torch.stack([torch.eye(3)[[1, 2, 0]], torch.eye(3)[[2, 0, 1]], torch.eye(3)[[1, 0, 2]]])
            tints = tints @ order[draws.whole(3)]
        self._paint.lay(canvas, shown, which, poses, crops, tints)


def _backdrops(draws: Draws) -> tuple[Poses, Poses]:
    """Pose the photographs behind composed objects, before and after the camera moved; ``centre`` is in the photo."""
    scale_px = 18 * (4.0 ** draws.unit())
    at = draws.between(0.25, 0.75, 2) * SIDE
    angle = draws.normal(0.15, 0.5)
    straight, level = torch.zeros((draws.count, 2, 3)), torch.zeros((draws.count, 2))
    before = Poses(turned(angle) / scale_px[:, None, None], at, straight, level)
    pan = draws.normal(0.5, 1.5, 2) * scale_px[:, None]
    pan = torch.where(draws.chance(0.3)[:, None], draws.normal(0.2 * SIDE, 0.5 * SIDE, 2), pan)
    nearer = (scale_px * draws.normal(0.1, 0.3).exp())[:, None, None]
    return before, Poses(turned(angle + draws.normal(0.05, 0.2)) / nearer, at + pan, straight, level)


def _tints(draws: Draws, sigma: float) -> Tensor:
    """Return (N, 3, 3): how much of each colour goes into each."""
    return torch.diag_embed(draws.normal(sigma, 2 * sigma, 3).exp())
