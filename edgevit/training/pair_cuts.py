"""Cut objects out of photographs: patches that grew along colours, and plain shapes laid over any texture.

An object is a square canvas of colours and cover (premultiplied), whose middle part, -1..1 in both directions, is the
bounding box of the cut. Where its outline reaches in 32 directions is kept, so that the box of the object turned,
stretched or bent is found without drawing it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .pair_textures import SIDE, Textures

CANVAS = 96
MARGIN = 1.08
"""The canvas reaches beyond the box, so that the edge of an object fades out inside of it."""

_TENSORS = ("canvases", "photo", "centre_px", "half_px", "reach", "clear")
_GROWN = 64
_DIRECTIONS = 32
_CHUNK = 250
_PATTERN = 25.0
_TURNS = 90
"""Pixels a patch may grow, by one in each direction a turn: farther than any way through one that is no maze."""


@dataclass(frozen=True)
class Cuts:
    """Hold M objects: ``canvases`` (M, 4, C, C) of uint8, ``photo`` (M,), where each lies there, and its reach.

    ``centre_px`` and ``half_px`` (M, 2), x before y, are the box in the photograph; ``reach`` (M, 32, 2) are the
    farthest points of the cover, in units of half the box. ``clear`` (M,) are those that can be found again in their
    own photograph: they have an outline there, or a pattern.
    """

    canvases: Tensor
    photo: Tensor
    centre_px: Tensor
    half_px: Tensor
    reach: Tensor
    clear: Tensor
    by_photo: int

    def __len__(self) -> int:
        return len(self.photo)

    def to(self, device: str) -> Cuts:
        """Move to the device that renders."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})


def cut_objects(textures: Textures, seed: int, *, each: int = 8) -> Cuts:
    """Cut ``each`` objects out of every photograph: those of photograph n are n * each and what follows."""
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(textures), _CHUNK):
        photos = textures.photos[start : start + _CHUNK]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
        parts.append(_cut(photos, start, each, generator))
    columns = map(torch.cat, zip(*parts, strict=True))
    return Cuts(by_photo=each, **dict(zip(_TENSORS, columns, strict=True)))


def _cut(photos: Tensor, first: int, each: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    grown = _grown_masks(photos, each, generator)
    photo = torch.arange(len(photos)).repeat_interleave(each)
    centre, half, usable = _boxes(grown)
    # One in three is a plain shape even where a patch grew well: what is to be followed need not be an object.
    plain = ~usable | (torch.rand(len(photo), generator=generator) < 0.33)
    side = 0.10 * (6.0 ** torch.rand(len(photo), generator=generator))
    aspect = torch.exp(0.6 * torch.randn(len(photo), generator=generator)).clamp(0.25, 4.0).sqrt()
    drawn_half = (torch.stack((aspect, 1 / aspect), 1) * side[:, None]).clamp(max=0.95)
    drawn_centre = (torch.rand((len(photo), 2), generator=generator) * 2 - 1) * (1 - drawn_half)
    centre = torch.where(plain[:, None], drawn_centre, centre)
    half = torch.where(plain[:, None], drawn_half, half)

    local = _local_grid()
    places = centre[:, None, None] + local * half[:, None, None]
    cover = F.grid_sample(grown[:, None], places, align_corners=False)[:, 0].sub_(0.5).mul_(2.5).add_(0.5).clamp_(0, 1)
    cover = torch.where(plain[:, None, None], _shapes(len(photo), local, generator), cover)
    patterned = torch.empty(len(photo), dtype=torch.bool)
    canvases = torch.empty((len(photo), 4, CANVAS, CANVAS), dtype=torch.uint8)
    for start in range(0, len(photo), _CHUNK):
        part = slice(start, start + _CHUNK)
        colours = F.grid_sample(
            photos[photo[part]].float(), places[part], padding_mode="reflection", align_corners=False
        )
        canvases[part, :3] = (colours * cover[part, None]).round().to(torch.uint8)
        canvases[part, 3] = (cover[part] * 255).round().to(torch.uint8)
        patterned[part] = colours.mean(1).flatten(1).std(1) > _PATTERN
    return (
        canvases,
        photo + first,
        (centre + 1) * (SIDE / 2),
        half * (SIDE / 2),
        _reach(cover, local),
        patterned | ~plain,
    )


def _local_grid() -> Tensor:
    """Return (C, C, 2) places of a canvas' pixels, x before y, in units of half the box."""
    line = ((torch.arange(CANVAS) + 0.5) / CANVAS * 2 - 1) * MARGIN
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), -1)


def _grown_masks(photos: Tensor, each: int, generator: torch.Generator) -> Tensor:
    """Grow ``each`` connected patches in every photograph: (N * each, 64, 64) of 0 and 1.

    Half of them are what is like one to three points near each other; half are what is unlike the photograph's edge
    and holds together with a point near its middle: the whole object, where the background is plain.
    """
    small = F.avg_pool2d(F.interpolate(photos.float(), size=(_GROWN, _GROWN), mode="area"), 3, 1, 1)
    small = small.repeat_interleave(each, 0)
    count = len(small)
    start_yx = (_GROWN / 2 + 10 * torch.randn((count, 3, 2), generator=generator)).clamp(4, _GROWN - 5)
    start_yx[:, 1:] = (start_yx[:, :1] + 5 * torch.randn((count, 2, 2), generator=generator)).clamp(1, _GROWN - 2)
    start_yx[:, 2] = torch.where(torch.rand((count, 1), generator=generator) < 0.5, start_yx[:, 0], start_yx[:, 2])
    starts = start_yx.long()
    flat = small.flatten(2)
    at = starts[..., 0] * _GROWN + starts[..., 1]
    edge = _edge_places()
    edges = edge[torch.randint(len(edge), (count, 10), generator=generator)]
    likes, dislikes = (_nearest(flat, points) for points in (at, edges))
    limit = 18 + 50 * torch.rand((count, 1, 1), generator=generator)
    object_like = (torch.arange(count) % 2 == 0)[:, None, None]
    allowed = torch.where(object_like, dislikes > 0.7 * limit, likes < limit).to(torch.uint8)
    grown = torch.zeros((count, _GROWN * _GROWN), dtype=torch.uint8).scatter_(1, at, 1).view(count, _GROWN, _GROWN)
    allowed |= grown
    for _ in range(_TURNS):
        for axis in (1, 2):
            ahead, behind = (grown.narrow(axis, start, _GROWN - 1) for start in (1, 0))
            ahead |= behind.clone()
            behind |= ahead.clone()
            grown &= allowed
    closed = F.max_pool2d(grown[:, None].float(), 5, 1, 2)
    return -F.max_pool2d(-closed, 5, 1, 2)[:, 0]


def _nearest(flat: Tensor, places: Tensor) -> Tensor:
    """Return how far each pixel's colour is from the nearest colour at one of some places: (N, 64, 64)."""
    colours = flat.gather(2, places[:, None].expand(-1, 3, -1))
    # The corner of a cube of colours instead of its diagonal: a distance without a matrix product.
    apart = [(flat - colour[..., None]).abs_().amax(1) for colour in colours.unbind(2)]
    return torch.stack(apart).amin(0).view(-1, _GROWN, _GROWN)


def _edge_places() -> Tensor:
    inner = torch.zeros((_GROWN, _GROWN), dtype=torch.bool)
    inner[3:-3, 3:-3] = True
    return (~inner).flatten().nonzero()[:, 0]


def _boxes(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre and half size of each mask in -1..1 of the photograph, and whether it makes an object."""
    columns, rows = masks.amax(1), masks.amax(2)
    spans = []
    for line in (columns, rows):
        low = line.argmax(1)
        high = _GROWN - line.flip(1).argmax(1)
        spans.append(torch.stack((low, high), 1) * (2 / _GROWN) - 1)
    box = torch.stack(spans, 1)
    centre, half = box.mean(2), (box[..., 1] - box[..., 0]) / 2
    filled = masks.mean((1, 2)) / half.prod(1)
    side = half.prod(1).sqrt()
    ratio = half[:, 0] / half[:, 1]
    usable = (side > 0.1) & (side < 0.75) & (filled > 0.3) & (ratio > 0.25) & (ratio < 4)
    return centre, half, usable


def _shapes(count: int, local: Tensor, generator: torch.Generator) -> Tensor:
    """Return (N, C, C) covers: between diamond and rectangle, or a wavy outline, some with arms."""
    x, y = local[..., 0].abs(), local[..., 1].abs()
    power = (0.9 + 1.6 * torch.rand(count, generator=generator) ** 2 * 6)[:, None, None]
    plain = (x.clamp(min=1e-3) ** power + y.clamp(min=1e-3) ** power) ** (1 / power)
    angle, radius = torch.atan2(local[..., 1], local[..., 0]), local.norm(dim=-1)
    wave = torch.zeros(count, CANVAS, CANVAS)
    for order in range(2, 6):
        size, turn = (torch.rand((count, 1, 1), generator=generator) for _ in range(2))
        wave += size * (0.8 / order) * torch.cos(order * angle + turn * 2 * math.pi)
    outline = 0.85 * (1 + wave) / (1 + wave.amax((1, 2), keepdim=True))
    wavy = radius / outline.clamp(min=0.2)
    field = torch.where(torch.rand((count, 1, 1), generator=generator) < 0.5, plain, wavy)
    return ((1 - field) * (CANVAS / 3)).add_(0.5).clamp_(0, 1)


def _reach(cover: Tensor, local: Tensor) -> Tensor:
    """Return the points of each cover that lie farthest in 32 directions."""
    turn = torch.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)
    along = local.flatten(0, 1) @ torch.stack((turn.cos(), turn.sin()))
    solid = cover.flatten(1) >= 0.5
    places = torch.stack([torch.where(solid, along[:, way], -1e3).argmax(1) for way in range(_DIRECTIONS)], 1)
    return local.flatten(0, 1)[places]
