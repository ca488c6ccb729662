"""Propose a box around the thing that a point is on, for a person who clicks where others draw. No net, colours alone.

Principle: at each of many sizes and three shapes, what is near the point is one set of colours and what is around it
another; which of both a place is like is decided anew a few times, as GrabCut does (Rother et al. 2004), here with
counts over a small palette in place of mixtures and a blur in place of a graph cut. The region that hangs together with
the point gives a box. The box that wins has other colours around it, the size that was supposed, the point near its
middle, a size that things in pictures have, and others that agree with it. It is a guess: whoever needs a certain box
draws one. Where nothing stands out, it is a square of a fifth of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.kernels import resize
from edgevit.overlaps import overlaps

from .boxes import point_of
from .frame import Frame, Pixels
from .tasks.track_crop import Box

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CELLS = 48
"""Every window is looked at with so many cells a side, whatever its size in the picture."""
_WINDOW = 3.0
"""Sides of the supposed thing that a window is wide."""
_SHARES = (0.03, 0.7)
_STEP = 1.25
_STRETCHES = (1.0, 1.5, 1 / 1.5)
"""Sizes are supposed from and to these shares of the picture's shorter side, in steps; upright ones, lying ones."""
_COMMON = 0.2
_LEAST_PX = 8.0
_COLOURS = 12
_ALIKE = 14.0
"""Levels within which two colours are taken for one."""
_SETTLING = 6
_ROUNDS = 3
_LEAST_CELLS = 12
_LEAST_CONTRAST = 0.15


@dataclass(frozen=True, eq=False)
class _Window:
    """Hold a square of the picture: each cell's share of each colour, and which cells lie inside the picture."""

    left: int
    top: int
    side_px: int
    colours: Plane
    inside: Mask


@dataclass(frozen=True)
class _Guess:
    """Hold a box, the size ``supposed_wh`` that led to it, how other its surroundings are, and how it lies."""

    box_xywh: Box
    supposed_wh: tuple[float, float]
    contrast: float
    off_centre: float
    cut_sides: int


def box_at(frame: Frame, point_xy: tuple[float, float]) -> Box:
    """Return x, y, width, height of a box around what is at this point of the frame, inside the picture."""
    height, width = frame.size_hw
    x, y = point_of(point_xy)
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"The point {x:g},{y:g} lies outside the picture of {width} x {height} pixels. Name one on the target."
        )
    guesses = [guess for guess in _guesses(frame.to_rgb(), (x, y)) if guess.contrast >= _LEAST_CONTRAST]
    common = _COMMON * min(height, width)
    if not guesses:
        return _inside((x - common / 2, y - common / 2, common, common), frame.size_hw)
    boxes = np.array([guess.box_xywh for guess in guesses])
    agreed = overlaps(boxes[:, None], boxes[None]).mean(1).tolist()
    merits = [_merit(guess, share, common) for guess, share in zip(guesses, agreed, strict=True)]
    return _inside(guesses[int(np.argmax(merits))].box_xywh, frame.size_hw)


def _guesses(rgb: Pixels, point_xy: tuple[float, float]) -> Iterator[_Guess]:
    shorter = min(rgb.shape[:2])
    side = max(_LEAST_PX, _SHARES[0] * shorter)
    while side <= max(_LEAST_PX, _SHARES[1] * shorter):
        window = _look(rgb, point_xy, side)
        for stretch in _STRETCHES:
            region = _region(window, stretch)
            if region is not None and (guess := _guess(window, region, point_xy, (side / stretch, side * stretch))):
                yield guess
        side *= _STEP


def _merit(guess: _Guess, agreed: float, common: float) -> float:
    """Weigh a guess in logarithms; all reasons count alike; each side cut off by the window takes two thirds."""
    w, h = guess.box_xywh[2:]
    supposed = sum(math.log(side / wanted) ** 2 for side, wanted in zip((w, h), guess.supposed_wh, strict=True)) / 2
    usual = math.log(math.sqrt(w * h) / common) ** 2
    return math.log(guess.contrast) + math.log(0.1 + agreed) - supposed - usual - guess.off_centre**2 - guess.cut_sides


def _look(rgb: Pixels, point_xy: tuple[float, float], side: float) -> _Window:
    """Take the part of the window that lies inside the picture, and its colours as shares of a few."""
    wide = max(2, round(side * _WINDOW))
    left, top = (round(value - wide / 2) for value in point_xy)
    (rows, down), (columns, across) = (
        _part(start, wide, length) for start, length in zip((top, left), rgb.shape[:2], strict=True)
    )
    part = resize(np.ascontiguousarray(rgb[rows, columns]), (down.stop - down.start, across.stop - across.start))
    colours = np.zeros((CELLS, CELLS, _COLOURS), np.float32)
    colours[down, across] = _palette(part.astype(np.float32))
    inside = np.zeros((CELLS, CELLS), np.bool_)
    inside[down, across] = True
    return _Window(left, top, wide, colours, inside)


def _part(start: int, wide: int, length: int) -> tuple[slice, slice]:
    """Return which pixels of a window lie inside the picture, and which cells they fill."""
    pixels = slice(max(0, start), min(length, start + wide))
    first = min(CELLS - 1, round((pixels.start - start) * CELLS / wide))
    return pixels, slice(first, max(first + 1, round((pixels.stop - start) * CELLS / wide)))


def _palette(rgb: Plane) -> Plane:
    """Return each cell's shares of a few colours that the part has: (rows, columns, colours)."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    # Light on one axis, colour on two: a shadow moves a cell along one of them alone.
    points = np.stack([(red + green + blue) / 3, 0.8 * (red - green), 0.8 * ((red + green) / 2 - blue)], -1)
    points = points.reshape(-1, 3)
    middles = _spread(points)
    for _ in range(_SETTLING):
        nearest = _distances(points, middles).argmin(1)
        for number in range(_COLOURS):
            if (own := nearest == number).any():
                middles[number] = points[own].mean(0)
    away = _distances(points, middles)
    shares = np.exp((away.min(1, keepdims=True) - away) / (2 * _ALIKE**2))
    palette: Plane = (shares / shares.sum(1, keepdims=True)).reshape(*rgb.shape[:2], -1).astype(np.float32)
    return palette


def _spread(points: Plane) -> Plane:
    """Choose colours to begin with, each the farthest from those before it."""
    chosen = [points[((points - points.mean(0)) ** 2).sum(1).argmax()]]
    away = ((points - chosen[0]) ** 2).sum(1)
    while len(chosen) < _COLOURS:
        chosen.append(points[away.argmax()])
        away = np.minimum(away, ((points - chosen[-1]) ** 2).sum(1))
    return np.array(chosen)


def _distances(points: Plane, middles: Plane) -> Plane:
    """Return the squared distances, but for what is the same for all middles of a point."""
    gaps: Plane = (middles**2).sum(1) - 2 * points @ middles.T
    return gaps


def _region(window: _Window, stretch: float) -> tuple[Mask, Mask] | None:
    """Return the cells that are like the middle and hang together with it, and those around them; None without any."""
    line = ((np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS - 0.5) * _WINDOW
    down, across = np.meshgrid(line / stretch, line * stretch, indexing="ij")
    away = np.hypot(down, across)
    near: Plane = np.exp(-0.5 * (away / 0.3) ** 2) * window.inside
    far: Plane = ((np.maximum(abs(down), abs(across)) > 0.95) & window.inside).astype(np.float32)
    before = np.clip(1 / (1 + np.exp((away - 0.75) / 0.15)), 0.02, 0.9)
    for _ in range(_ROUNDS):
        mine, others = (_mixture(window.colours, weights) for weights in (near, far))
        like = window.colours @ (mine / (mine + others + 1e-3))
        own = like * before
        sure = _blurred(own / (own + (1 - like) * (1 - before) + 1e-6)) * window.inside
        near, far = sure * (sure > 0.3), (1 - sure) * window.inside
    region = _joined(sure > 0.5, np.hypot(line[:, None], line[None]) < 0.35)
    if region.sum() < _LEAST_CELLS:
        return None
    return region, window.inside & ~_grown(region)


def _guess(
    window: _Window, found: tuple[Mask, Mask], point_xy: tuple[float, float], supposed_wh: tuple[float, float]
) -> _Guess | None:
    region, outside = found
    (top, bottom), (left, right) = _span(region, 1), _span(region, 0)
    margin = max(2, round(0.25 * math.sqrt((bottom - top) * (right - left))))
    around = np.zeros_like(outside)
    rows, columns = slice(max(0, top - margin), bottom + margin), slice(max(0, left - margin), right + margin)
    around[rows, columns] = outside[rows, columns]
    if around.sum() < _LEAST_CELLS:
        return None
    cell = window.side_px / CELLS
    box = (window.left + left * cell, window.top + top * cell, (right - left) * cell, (bottom - top) * cell)
    off = math.hypot(*((p - (s + d / 2)) / d for p, s, d in zip(point_xy, box[:2], box[2:], strict=True)))
    # Bhattacharyya's: 0 where the colours are the same, 1 where none is common.
    common = np.sqrt(window.colours[region].mean(0) * window.colours[around].mean(0)).sum()
    cut = sum((top == 0, left == 0, bottom == CELLS, right == CELLS))
    return _Guess(box, supposed_wh, 1 - float(common), off, cut)


def _mixture(colours: Plane, weights: Plane) -> Plane:
    """Return how much of each colour is where the weights are."""
    counts = np.tensordot(weights, colours, 2)
    mixed: Plane = counts / (counts.sum() + 1e-9)
    return mixed


def _blurred(plane: npt.NDArray[np.floating]) -> Plane:
    for _ in range(2):
        wide = np.pad(plane, 1, mode="edge")
        rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        plane = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return plane.astype(np.float32)


def _joined(mask: Mask, seeds: Mask) -> Mask:
    """Return the part of the mask that can be reached from the seeds."""
    reached = mask & seeds
    while True:
        wider = _grown(reached) & mask
        if (wider == reached).all():
            return reached
        reached = wider


def _grown(mask: Mask) -> Mask:
    """Return the mask and its neighbours."""
    wide = np.pad(mask, 1)
    grown: Mask = mask | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return grown


def _span(mask: Mask, axis: int) -> tuple[int, int]:
    """Return the first place in use and the one behind the last, seen along an axis."""
    places = np.flatnonzero(mask.any(axis))
    return int(places[0]), int(places[-1]) + 1


def _inside(box_xywh: Box, size_hw: tuple[int, int]) -> Box:
    """Cut off what reaches beyond the picture."""
    x, y, w, h = box_xywh
    left, top = max(0.0, x), max(0.0, y)
    return left, top, min(x + w, size_hw[1]) - left, min(y + h, size_hw[0]) - top
