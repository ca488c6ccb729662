"""Paint a scene in layers, back to front: a textured backdrop, one object with its shadow, what hides a part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import blurred
from .colours import Colour, any_colour, lay, lay_mixed, pair_apart_from, shade_of
from .dice import Dice, Plane
from .grade import Grade
from .outlines import OUTLINES, coverage
from .textures import TEXTURES, smooth_noise

# Calm textures are the commoner ones, as they are in photographs.
_BACKDROPS = ("plain", "stripes", "checks", "dots", "clouds", "clouds", "speckle", "gradient", "gradient", "gradient")
_FILLS = ("plain", "plain", "plain", "stripes", "checks", "dots", "clouds", "speckle", "gradient", "gradient")


@dataclass(frozen=True)
class View:
    """Hold the grid of a picture: x (1, width) and y (height, 1) in half shorter sides from the centre."""

    x: Plane
    y: Plane
    pixel: float

    @classmethod
    def of(cls, size_hw: tuple[int, int]) -> View:
        """Lay the grid through the centres of the pixels."""
        height, width = size_hw
        pixel = 2 / min(size_hw)
        x = (np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)) * np.float32(pixel)
        y = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)) * np.float32(pixel)
        return cls(x[None, :], y[:, None], pixel)

    @property
    def half_wh(self) -> tuple[float, float]:
        """Return how far the picture reaches from its centre."""
        return self.x.shape[1] * self.pixel / 2, self.y.shape[0] * self.pixel / 2


@dataclass(frozen=True)
class Thing:
    """Hold where the object lies: the share of each pixel it covers."""

    cover: Plane
    centre_xy: tuple[float, float]
    radius: float


def paint_backdrop(view: View, dice: Dice, grade: Grade, fields: int) -> tuple[Plane, list[Colour]]:
    """Return a canvas of one or more textured fields with wavy borders, and the colours that were used."""
    canvas = np.empty((3, view.y.shape[0], view.x.shape[1]), np.float32)
    colours: list[Colour] = []
    for number in range(fields):
        first = any_colour(dice)
        pair = first, shade_of(first, dice, *grade.shade) if dice.chance(grade.related_field) else any_colour(dice)
        colours += pair
        mix = TEXTURES[dice.pick(_BACKDROPS)](view.x, view.y, dice, view.pixel)
        if number == 0:
            canvas[:] = np.asarray(pair[0], np.float32)[:, None, None]
        lay_mixed(canvas, _side(view, dice) if number else np.float32(1) + 0 * mix, pair, mix)
    return canvas, colours


def paint_object(canvas: Plane, view: View, dice: Dice, grade: Grade, name: str, colours: list[Colour]) -> Thing:
    """Paint one object somewhere, of any size and turn, slightly bent, and return where it lies."""
    radius = dice.between(grade.radius, 0.9)
    half_w, half_h = view.half_wh
    reach_x, reach_y = (max(0.0, half - grade.inside * radius) for half in (half_w, half_h))
    centre = dice.between(-reach_x, reach_x), dice.between(-reach_y, reach_y)
    x, y = _object_plane(view, dice, centre, radius)
    cover, distance_px = coverage(OUTLINES[name](x, y), least_slope=0.6 * view.pixel / radius)
    if dice.chance(0.5):
        _paint_shadow(canvas, view, dice, cover)
    pair = pair_apart_from(colours, dice, grade)
    mix = TEXTURES[dice.pick(_FILLS)](x, y, dice, view.pixel / radius)
    nx, ny = dice.direction()
    light = 1 + (x * nx + y * ny) * np.float32(dice.between(0, 0.3))
    lay_mixed(canvas, cover, pair, mix, light)
    if dice.chance(0.3):
        width_px = dice.between(0.02, 0.05) / view.pixel
        rim = np.clip(0.5 + width_px + distance_px, 0, 1) * cover
        lay(canvas, rim, shade_of(pair[0], dice, 0.5, 0.9))
    return Thing(cover, centre, radius)


def paint_occluder(canvas: Plane, view: View, dice: Dice, grade: Grade, thing: Thing) -> None:
    """Hide a part of the object behind a bar, a curtain or a patch; never so much that it cannot be named."""
    nx, ny = dice.direction()
    centre_x, centre_y = thing.centre_xy
    across = (view.x - centre_x) * nx + (view.y - centre_y) * ny
    wave = smooth_noise(view.x, view.y, dice, 2.5) * np.float32(0.25) - np.float32(0.125)
    kind = dice.pick(("bar", "bar", "curtain", "patch"))
    if kind == "bar":
        field = np.abs(across + dice.between(-0.7, 0.7) * thing.radius + wave * 0.5) - dice.between(0.04, 0.13)
    elif kind == "curtain":
        field = (dice.between(0.3, 0.9) * thing.radius - across) + wave
    else:
        offset = dice.between(0.3, 1.0) * thing.radius
        along = (view.y - centre_y) * nx - (view.x - centre_x) * ny
        across = across - np.float32(offset)
        field = np.sqrt(across * across + along * along) - dice.between(0.15, 0.35) * thing.radius + wave * 1.5
    cover, _ = coverage(np.asarray(field, np.float32))
    # Whole pixels are counted, since a floating-point sum could differ from machine to machine.
    inside = thing.cover > 0.5
    hidden = int(np.count_nonzero(inside & (cover > 0.5)))
    first = any_colour(dice)
    texture = dice.pick(_FILLS)
    if hidden <= grade.hidden * int(np.count_nonzero(inside)):
        mix = TEXTURES[texture](view.x, view.y, dice, view.pixel)
        lay_mixed(canvas, cover, (first, shade_of(first, dice, *grade.shade)), mix)


def _side(view: View, dice: Dice) -> Plane:
    """Return one side of a wavy line through the picture."""
    nx, ny = dice.direction()
    wave = smooth_noise(view.x, view.y, dice, 1.5) - np.float32(0.5)
    field = view.x * nx + view.y * ny + wave * np.float32(dice.between(0, 0.8)) + np.float32(dice.between(-0.6, 0.6))
    return coverage(np.asarray(field, np.float32))[0]


def _object_plane(view: View, dice: Dice, centre: tuple[float, float], radius: float) -> tuple[Plane, Plane]:
    """Return the object's own coordinates of every pixel: turned, stretched, sheared, in perspective, a little bent."""
    cos, sin = dice.direction()
    mirror = 1.0 if dice.chance(0.5) else -1.0
    stretch, shear = dice.between(0.84, 1.19), dice.between(-0.22, 0.22)
    tilt_x, tilt_y = dice.between(-0.16, 0.16), dice.between(-0.16, 0.16)
    x, y = view.x - np.float32(centre[0]), view.y - np.float32(centre[1])
    depth = np.maximum(1 + (x * tilt_x + y * tilt_y), np.float32(0.4)) * np.float32(radius)
    x, y = x / depth, y / depth
    turned_x, turned_y = (x * cos + y * sin) * np.float32(mirror), y * cos - x * sin
    flat_x = turned_x * np.float32(stretch) + turned_y * np.float32(shear)
    flat_y = turned_y * np.float32(1 / stretch)
    bend = np.float32(max(0.0, dice.between(-0.06, 0.12)))
    bent_x = flat_x + (smooth_noise(view.x, view.y, dice, 1.7) - np.float32(0.5)) * bend
    bent_y = flat_y + (smooth_noise(view.x, view.y, dice, 1.7) - np.float32(0.5)) * bend
    return bent_x, bent_y


def _paint_shadow(canvas: Plane, view: View, dice: Dice, cover: Plane) -> None:
    """Darken the canvas where the object's soft shadow falls, a little to one side."""
    nx, ny = dice.direction()
    length = dice.between(0.04, 0.12) / view.pixel
    right, down = int(np.floor(nx * length + 0.5)), int(np.floor(ny * length + 0.5))
    height, width = cover.shape
    fallen = np.zeros_like(cover)
    fallen[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = cover[
        max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
    ]
    canvas *= 1 - blurred(fallen, 0.03 / view.pixel) * np.float32(dice.between(0.2, 0.6))
