"""Look at a painted canvas through a poor lens: uneven light, blur, grain, whole grey levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .dice import GRAIN_SIGMA, Dice, Plane

U8 = npt.NDArray[np.uint8]


def photograph(canvas: Plane, dice: Dice, x: Plane, y: Plane, pixel: float, *, worst: float = 1.0) -> U8:
    """Turn a canvas (3, height, width) of 0..1 into a picture (height, width, 3); ``worst`` scales all faults.

    Blur is measured in units of the picture, so that a scene is as sharp at every size; grain is a matter of pixels.
    """
    nx, ny = dice.direction()
    exposure = 1 + worst * dice.between(-0.25, 0.2)
    slope = worst * dice.between(0.0, 0.25)
    canvas = canvas * (exposure + (x * nx + y * ny) * slope)
    canvas = blurred(canvas, worst * max(0.0, dice.between(-0.01, 0.025)) / pixel)
    sigma = worst * max(0.0, dice.between(-3.0, 13.0))
    levels = canvas * np.float32(255) + np.float32(0.5)
    if sigma:
        levels += dice.grain(canvas.shape).astype(np.float32) * np.float32(sigma / GRAIN_SIGMA)
    return np.ascontiguousarray(np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def blurred(planes: Plane, sigma_px: float) -> Plane:
    """Blur the last two axes by about ``sigma_px``: three taps at distances 1, 2, 4 …, until their variances add up.

    A pass with weight w at distance d has the variance 2 w d^2; weights up to 1/4 leave no ringing.
    """
    variance, distance = sigma_px * sigma_px, 1
    while variance > 0.02 and distance < min(planes.shape[-2:]):
        weight = min(0.25, variance / (2 * distance * distance))
        planes = _three_taps(_three_taps(planes, weight, distance, -1), weight, distance, -2)
        variance -= 2 * weight * distance * distance
        distance *= 2
    return planes


def _three_taps(planes: Plane, weight: float, distance: int, axis: int) -> Plane:
    """Mix each pixel with its two neighbours at this distance; the edge is repeated outwards."""
    span = planes.shape[axis]
    source = np.moveaxis(planes, axis, 0)
    mixed = source * np.float32(1 - 2 * weight)
    part = source * np.float32(weight)
    mixed[distance:] += part[: span - distance]
    mixed[:distance] += part[:1]
    mixed[: span - distance] += part[distance:]
    mixed[span - distance :] += part[-1:]
    return np.moveaxis(mixed, 0, axis)
