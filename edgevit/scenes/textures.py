"""Fill the plane with patterns: a weight in 0..1 for every point, by which two colours are mixed.

Coordinates are in units of half the picture's shorter side (or of the object's radius); ``pixel`` is the size of one
pixel in the same unit, so that the steps of a pattern are about one pixel soft at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .dice import Dice, Plane

Texture = Callable[[Plane, Plane, Dice, float], Plane]


def plain(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return the first colour everywhere."""
    return np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)


def stripes(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return parallel bands of any direction."""
    nx, ny = dice.direction()
    per_unit = dice.between(1.2, 4.5)
    wave = _triangle_wave(x * (nx * per_unit) + y * (ny * per_unit) + dice.unit())
    return _step(wave - dice.between(0.35, 0.65), 2 * per_unit * pixel)


def checks(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return the two colours of a chess board, turned any way."""
    nx, ny = dice.direction()
    per_unit = dice.between(1.0, 2.8)
    along = _triangle_wave(x * (nx * per_unit) + y * (ny * per_unit) + dice.unit()) - 0.5
    across = _triangle_wave(y * (nx * per_unit) - x * (ny * per_unit) + dice.unit()) - 0.5
    return _step(along * across, 0.5 * per_unit * pixel)


def dots(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return round spots on a square grid, turned any way."""
    nx, ny = dice.direction()
    per_unit = dice.between(1.6, 4.0)
    along = x * (nx * per_unit) + y * (ny * per_unit) + dice.unit()
    across = y * (nx * per_unit) - x * (ny * per_unit) + dice.unit()
    along = along - np.floor(along) - 0.5
    across = across - np.floor(across) - 0.5
    return _step(dice.between(0.22, 0.4) - np.sqrt(along * along + across * across), per_unit * pixel)


def clouds(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return smooth random patches in two sizes."""
    coarse = dice.between(1.0, 2.5)
    both = 0.65 * smooth_noise(x, y, dice, coarse) + 0.35 * smooth_noise(x, y, dice, coarse * 3.1)
    return _clipped((both - 0.5) * 2.2 + 0.5)


def speckle(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return fine random grit, like gravel or cloth."""
    return _clipped((smooth_noise(x, y, dice, dice.between(7.0, 14.0)) - 0.5) * 2.5 + 0.5)


def gradient(x: Plane, y: Plane, dice: Dice, pixel: float) -> Plane:
    """Return a slow passage from one colour to the other."""
    nx, ny = dice.direction()
    return _clipped((x * nx + y * ny) * dice.between(0.4, 0.8) + dice.between(0.35, 0.65))


TEXTURES: dict[str, Texture] = {
    texture.__name__: texture for texture in (plain, stripes, checks, dots, clouds, speckle, gradient)
}


def smooth_noise(x: Plane, y: Plane, dice: Dice, per_unit: float) -> Plane:
    """Return random numbers in 0..1 on a grid of ``per_unit`` cells, with a soft passage between them.

    The grid of 64 by 64 numbers repeats, so that the same numbers are drawn whatever the size of the picture.
    """
    grid = dice.lattice(64, 64).ravel()
    column, along = _cell(x * per_unit + 64 * dice.unit())
    row, across = _cell(y * per_unit + 64 * dice.unit())
    above, below = (row & 63) << 6, ((row + 1) & 63) << 6
    left, right = column & 63, (column + 1) & 63
    top = grid[above + left]
    top = top + (grid[above + right] - top) * along
    bottom = grid[below + left]
    bottom = bottom + (grid[below + right] - bottom) * along
    return np.asarray(top + (bottom - top) * across, dtype=np.float32)


def _cell(position: Plane) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int32]], Plane]:
    whole = np.floor(position)
    part = position - whole
    return whole.astype(np.int32), part * part * (3 - 2 * part)


def _triangle_wave(phase: Plane) -> Plane:
    return abs((phase - np.floor(phase)) * 2 - 1)


def _step(value: Plane, softness: float) -> Plane:
    return _clipped(value * (1 / softness) + 0.5)


def _clipped(value: Plane) -> Plane:
    weight: Plane = np.clip(value, 0, 1)
    return weight
