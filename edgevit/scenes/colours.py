"""Choose colours: lively ones, and ones that stand apart from what they lie on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dice import Dice, Plane
from .grade import Grade

Colour = tuple[float, float, float]

_TRIES = 24


def any_colour(dice: Dice) -> Colour:
    """Return a colour of any hue, between pale and full, between dim and bright (red, green, blue in 0..1)."""
    hue, bright = dice.between(0, 6), dice.between(0.18, 1.0)
    pale = bright * (1 - dice.between(0.1, 0.9))
    wedge, part = int(hue), hue - int(hue)
    rising, falling = pale + (bright - pale) * part, bright - (bright - pale) * part
    return (
        (bright, rising, pale),
        (falling, bright, pale),
        (pale, bright, rising),
        (pale, falling, bright),
        (rising, pale, bright),
        (bright, pale, falling),
    )[wedge]


def shade_of(colour: Colour, dice: Dice, low: float, high: float) -> Colour:
    """Return a lighter or a darker shade of the colour."""
    amount, towards = dice.between(low, high), float(dice.chance(0.5))
    red, green, blue = (channel + (towards - channel) * amount for channel in colour)
    return red, green, blue


def apart(one: Colour, other: Colour) -> float:
    """Return how far two colours are from each other, 0..1, each channel weighted as the eye weights it."""
    return sum(share * abs(a - b) for share, a, b in zip((0.3, 0.59, 0.11), one, other, strict=True))


def pair_apart_from(others: Sequence[Colour], dice: Dice, grade: Grade) -> tuple[Colour, Colour]:
    """Return two colours as far from all the others as the grade asks, or the best pair of a few tries."""
    best, best_distance = None, -1.0
    for _ in range(_TRIES):
        first = any_colour(dice)
        second = shade_of(first, dice, *grade.shade) if dice.chance(grade.related) else any_colour(dice)
        nearest = min((apart(mine, other) for mine in (first, second) for other in others), default=1.0)
        if nearest > best_distance:
            best, best_distance = (first, second), nearest
        if nearest >= grade.contrast:
            break
    assert best is not None
    return best


def lay(canvas: Plane, weight: Plane, colour: Colour) -> None:
    """Cover the canvas (3, height, width) with one colour, as far as ``weight`` (0..1) says at every pixel."""
    for plane, channel in zip(canvas, colour, strict=True):
        plane += (np.float32(channel) - plane) * weight


def lay_mixed(
    canvas: Plane, weight: Plane, colours: tuple[Colour, Colour], mix: Plane, light: Plane | None = None
) -> None:
    """Cover the canvas with a mixture of two colours, each pixel as bright as ``light`` says (1 is unchanged)."""
    for plane, first, second in zip(canvas, *colours, strict=True):
        paint = np.float32(first) + np.float32(second - first) * mix
        if light is not None:
            paint = paint * light
        plane += (paint - plane) * weight
