"""Define the ten outlines as fields: negative inside, zero on the edge, positive outside.

Each is centred, fits a circle of radius about 1, and is its own name after any turn or mirroring. y points down.
Only the zero line and the sign count; ``coverage`` turns a field into an edge one pixel wide whatever the transform,
by dividing it by its own slope on the screen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .dice import Plane

Field = Callable[[Plane, Plane], Plane]

# Outward normals of a regular pentagon that stands on a side; literals, since cosines differ by machine.
_PENTAGON = (
    (0.0, 1.0),
    (0.9510565162951535, 0.3090169943749474),
    (0.5877852522924731, -0.8090169943749475),
    (-0.5877852522924731, -0.8090169943749475),
    (-0.9510565162951535, 0.3090169943749474),
)
_HALF_ROOT_3 = 0.8660254037844386
_HALF_ROOT_2 = 0.7071067811865476


def disc(x: Plane, y: Plane) -> Plane:
    """Return the field of a filled circle."""
    return _radius(x, y) - 0.86


def ring(x: Plane, y: Plane) -> Plane:
    """Return the field of a circle with a round hole."""
    return abs(_radius(x, y) - 0.66) - 0.24


def crescent(x: Plane, y: Plane) -> Plane:
    """Return the field of a circle out of which another has bitten one side."""
    moon: Plane = np.maximum(_radius(x + 0.12, y) - 0.92, 0.74 - _radius(x - 0.33, y))
    return moon


def heart(x: Plane, y: Plane) -> Plane:
    """Return the field of a square on its corner with half a disc on each upper side."""
    side = 0.56
    across, down = abs(x), y - 0.1
    corner = (across + abs(down)) * _HALF_ROOT_2 - side
    lobe = _radius(across - side * _HALF_ROOT_2, down + side * _HALF_ROOT_2) - side
    both: Plane = np.minimum(corner, lobe)
    return both


def star(x: Plane, y: Plane) -> Plane:
    """Return the field of a five-pointed star: the points that lie within four or more of a pentagon's five sides."""
    first, *others = (x * nx + y * ny - 0.33 for nx, ny in _PENTAGON)
    highest: Plane = first
    second: Plane = np.full_like(first, -np.inf)
    for side in others:
        second = np.maximum(second, np.minimum(highest, side))
        highest = np.maximum(highest, side)
    return second


def cross(x: Plane, y: Plane) -> Plane:
    """Return the field of two equal bars that meet at right angles."""
    across, down = abs(x), abs(y)
    both: Plane = np.minimum(np.maximum(across - 0.92, down - 0.29), np.maximum(across - 0.29, down - 0.92))
    return both


def arrow(x: Plane, y: Plane) -> Plane:
    """Return the field of a triangular head on a straight shaft."""
    down = abs(y)
    head = np.maximum(-0.02 - x, x * 0.6 + down * 0.8 - 0.56)
    shaft = np.maximum(abs(x + 0.45) - 0.5, down - 0.23)
    both: Plane = np.minimum(head, shaft)
    return both


def triangle(x: Plane, y: Plane) -> Plane:
    """Return the field of a triangle of equal sides."""
    sides: Plane = np.maximum(abs(x) * _HALF_ROOT_3 - y * 0.5, y)
    return sides - 0.5


def square(x: Plane, y: Plane) -> Plane:
    """Return the field of a square; a square on its corner is a square too."""
    sides: Plane = np.maximum(abs(x), abs(y))
    return sides - 0.74


def hexagon(x: Plane, y: Plane) -> Plane:
    """Return the field of a regular hexagon."""
    across, down = abs(x), abs(y)
    sides: Plane = np.maximum(across * _HALF_ROOT_3 + down * 0.5, down)
    return sides - 0.8


OUTLINES: dict[str, Field] = {
    field.__name__: field for field in (disc, ring, crescent, heart, star, cross, arrow, triangle, square, hexagon)
}


def coverage(field: Plane, least_slope: float = 1e-6) -> tuple[Plane, Plane]:
    """Return the share of each pixel that lies inside, and the distance to the edge in pixels (negative inside).

    On the ridge of a thin tip the two sides' slopes cancel; ``least_slope`` keeps the distance finite there.
    """
    across = np.empty_like(field)
    down = np.empty_like(field)
    np.subtract(field[:, 1:], field[:, :-1], out=across[:, :-1])
    np.subtract(field[1:], field[:-1], out=down[:-1])
    across[:, -1], down[-1] = across[:, -2], down[-2]
    slope = np.maximum(np.sqrt(across * across + down * down), np.float32(least_slope))
    pixels: Plane = field / slope
    return np.clip(0.5 - pixels, 0, 1), pixels


def _radius(x: Plane, y: Plane) -> Plane:
    radius: Plane = np.sqrt(x * x + y * y)
    return radius
