"""Render clips of one object that moves, with the true box of every frame: for demos, proofs and ``synthetic://clip``.

A camera that pans over a textured world, a target that wanders, turns and changes size, and by the clip's kind what
makes tracking hard: look-alikes (same outline or same colours), a post that hides the target, a walk out of the
picture and back, a cut to elsewhere. The frame of (kind, seed, index) is the same on every machine, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from edgevit.errors import InputError, UnknownNameError

from .camera import U8, photograph
from .colours import Colour, lay_mixed, pair_apart_from
from .dice import Dice, Plane
from .grade import PLAIN
from .layers import View, paint_backdrop
from .outlines import OUTLINES, coverage
from .paths import Path, Point, wander
from .textures import TEXTURES

Box = tuple[float, float, float, float]

SIZE_HW: Final = (240, 320)
FRAMES: Final = 150
_FILLS = ("stripes", "checks", "dots", "clouds", "speckle", "gradient")
_SIDE_LIMITS = (64, 4096)
_MOST_FRAMES = 100_000
_STREAMS = 16
"""Numbers of a clip's own streams of dice; its frames' grain begins behind them."""


@dataclass(frozen=True)
class Kind:
    """Hold what happens in a clip: frames in shares of its length."""

    rivals: int = 0
    hidden: tuple[float, ...] = ()
    away: tuple[float, float] | None = None
    cut: float | None = None


KINDS: Mapping[str, Kind] = {
    "plain": Kind(),
    "rivals": Kind(rivals=3),
    "hidden": Kind(rivals=1, hidden=(0.3, 0.7)),
    "away": Kind(away=(0.4, 0.6)),
    "cut": Kind(cut=0.5),
    "demo": Kind(rivals=2, hidden=(0.55,)),
}


@dataclass(frozen=True, eq=False)
class Shot:
    """Hold one frame (h, w, 3) in RGB; ``box_xywh`` is None where less than a tenth of the target can be seen."""

    rgb: U8
    box_xywh: Box | None
    visible: float


@dataclass(frozen=True)
class _Thing:
    """Hold one object: its outline, its paint and its paths, in half shorter sides of the picture."""

    outline: str
    fill: str
    colours: tuple[Colour, Colour]
    place: Path
    turn: Path
    radius: Path
    stream: int


@dataclass(frozen=True)
class _Plot:
    """Hold all that was drawn by lot for a clip."""

    camera: Path
    target: _Thing
    rivals: tuple[_Thing, ...]


class Clip:
    """Render any frame of one clip, from 0 to ``count`` - 1."""

    def __init__(
        self, kind: str = "plain", *, seed: int = 0, count: int = FRAMES, size_hw: tuple[int, int] = SIZE_HW
    ) -> None:
        if kind not in KINDS:
            raise UnknownNameError(f"There is no kind of clip named '{kind}'. Choose one of: {', '.join(KINDS)}.")
        if not 2 <= count <= _MOST_FRAMES:
            raise InputError(f"A clip has 2 to {_MOST_FRAMES} frames, not {count}.")
        if not all(_SIDE_LIMITS[0] <= side <= _SIDE_LIMITS[1] for side in size_hw):
            raise InputError(f"A clip's sides are {_SIDE_LIMITS[0]} to {_SIDE_LIMITS[1]} pixels, not {size_hw}.")
        self.count = count
        self.size_hw = size_hw
        self._kind = KINDS[kind]
        self._seed = seed
        self._view = View.of(size_hw)
        self._plot = _plot(self._kind, seed, count, self._view.half_wh)

    def shot(self, index: int) -> Shot:
        """Render one frame."""
        if not 0 <= index < self.count:
            raise InputError(f"The clip has the frames 0 to {self.count - 1}, not {index}.")
        cut = self._kind.cut is not None and index >= self._kind.cut * self.count
        pan = self._plot.camera.at(index)
        world = self._world(pan, elsewhere=cut)
        canvas, _ = paint_backdrop(world, Dice(self._seed, 1 if cut else 0), PLAIN, fields=3)
        canvas = np.ascontiguousarray(canvas)
        for rival in self._plot.rivals:
            self._paint(canvas, rival, rival.place.at(index), index)
        middle = self._target_place(index)
        cover = self._paint_target(canvas, middle, index)
        whole = self._area(index)
        hiding = self._hide(canvas, index, middle)
        seen = float((cover * (1 - hiding)).sum()) / whole
        box = _box_of(cover) if seen >= 0.1 else None
        # Grain is the frame's own; light and blur are the clip's, or the picture would flicker.
        dice = _Lens(self._seed, _STREAMS + index)
        rgb = photograph(canvas, dice, self._view.x, self._view.y, self._view.pixel, worst=0.25)
        return Shot(rgb, box, min(1.0, seen))

    def _world(self, pan: Point, *, elsewhere: bool) -> View:
        shift = 40.0 if elsewhere else 0.0
        x = self._view.x + np.float32(pan[0] + shift)
        return View(x, self._view.y + np.float32(pan[1]), self._view.pixel)

    def _target_place(self, index: int) -> Point:
        """Return where the target is; while it is away, beyond the nearer side."""
        x, y = self._plot.target.place.at(index)
        if self._kind.away is None:
            return x, y
        start, end = (share * self.count for share in self._kind.away)
        walk = 0.1 * self.count
        out = min(1.0, max(0.0, min((index - start) / walk + 1, (end - index) / walk + 1)))
        out = out * out * (3 - 2 * out)
        beyond = self._view.half_wh[0] + 1.5 * self._plot.target.radius.at(index)[0]
        return x + (beyond - x) * out, y

    def _paint_target(self, canvas: Plane, middle: Point, index: int) -> Plane:
        return self._paint(canvas, self._plot.target, middle, index)

    def _paint(self, canvas: Plane, thing: _Thing, middle: Point, index: int) -> Plane:
        """Paint a thing and return the share of each pixel that it covers."""
        x, y, radius = self._own_plane(thing, middle, index)
        cover, _ = coverage(OUTLINES[thing.outline](x, y), least_slope=0.6 * self._view.pixel / radius)
        mix = TEXTURES[thing.fill](x, y, Dice(self._seed, thing.stream), self._view.pixel / radius)
        lay_mixed(canvas, cover, thing.colours, mix, 1 + np.float32(0.12) * y)
        return cover

    def _own_plane(self, thing: _Thing, middle: Point, index: int) -> tuple[Plane, Plane, float]:
        radius = thing.radius.at(index)[0]
        cos, sin = thing.turn.at(index)
        length = float(np.sqrt(cos * cos + sin * sin)) or 1.0
        cos, sin = cos / length, sin / length
        x = (self._view.x - np.float32(middle[0])) / np.float32(radius)
        y = (self._view.y - np.float32(middle[1])) / np.float32(radius)
        return x * cos + y * sin, y * cos - x * sin, radius

    def _area(self, index: int) -> float:
        """Return how many pixels the whole target would cover, also those outside the picture."""
        radius = self._plot.target.radius.at(index)[0]
        return _unit_area(self._plot.target.outline) * (radius / self._view.pixel) ** 2

    def _hide(self, canvas: Plane, index: int, middle: Point) -> Plane:
        """Let a post pass in front of the target around the frames that the kind names; return what it covers."""
        hidden: Plane = np.zeros_like(canvas[0])
        for number, share in enumerate(self._kind.hidden):
            off = (index - share * self.count) / (0.12 * self.count)
            radius = self._plot.target.radius.at(index)[0]
            across = self._view.x + 0 * self._view.y - np.float32(middle[0] + off * 3 * radius)
            cover, _ = coverage(np.asarray(abs(across) - np.float32(1.15 * radius), np.float32))
            dice = Dice(self._seed, 12 + number)
            colours = pair_apart_from(self._plot.target.colours, dice, PLAIN)
            mix = TEXTURES["clouds"](across, self._view.y, dice, self._view.pixel)
            lay_mixed(canvas, cover, colours, mix)
            hidden = np.maximum(hidden, cover)
        return hidden


class _Lens(Dice):
    """Roll the same exposure and blur for all frames of a clip, and each frame's own grain."""

    def between(self, low: float, high: float) -> float:
        """Return the same place between the two, always."""
        return low + 0.6 * (high - low)

    def direction(self) -> tuple[float, float]:
        """Return the same direction, always."""
        return 0.6, 0.8


@lru_cache(maxsize=64)
def _plot(kind: Kind, seed: int, count: int, half_wh: tuple[float, float]) -> _Plot:
    dice = Dice(seed, 2)
    camera = wander(count, 45, lambda: (dice.between(-0.6, 0.6), dice.between(-0.3, 0.3)))
    target = _thing(Dice(seed, 3), 3, count, half_wh)
    rivals = []
    for number in range(kind.rivals):
        own = Dice(seed, 4 + number)
        rival = _thing(own, 4 + number, count, half_wh)
        # One looks like the target but for its colours, the next wears its colours in another shape.
        outline, colours = (target.outline, rival.colours) if number % 2 == 0 else (rival.outline, target.colours)
        rivals.append(_Thing(outline, rival.fill, colours, rival.place, rival.turn, rival.radius, rival.stream))
    return _Plot(camera, target, tuple(rivals))


def _thing(dice: Dice, stream: int, count: int, half_wh: tuple[float, float]) -> _Thing:
    outline, fill = dice.pick(tuple(OUTLINES)), dice.pick(_FILLS)
    colours = pair_apart_from((), dice, PLAIN)
    size = dice.between(0.16, 0.3)
    radius = wander(count, 40, lambda: (size * dice.between(0.75, 1.35),))
    reach = tuple(half - 1.3 * size for half in half_wh)
    place = wander(count, 25, lambda: (dice.between(-reach[0], reach[0]), dice.between(-reach[1], reach[1])))
    turn = wander(count, 50, dice.direction)
    return _Thing(outline, fill, colours, place, turn, radius, stream)


@lru_cache(maxsize=len(OUTLINES))
def _unit_area(outline: str) -> float:
    """Return the area of an outline of radius 1, by counting."""
    line = np.linspace(-1.1, 1.1, 441, dtype=np.float32)
    inside = OUTLINES[outline](*np.broadcast_arrays(line[None, :], line[:, None])) < 0
    return float(np.count_nonzero(inside)) * (2.2 / 440) ** 2


def _box_of(cover: Plane) -> Box | None:
    """Return the box around what is covered by half and more, inside the picture."""
    rows, columns = (np.flatnonzero((cover > 0.5).any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    x, y = float(columns[0]), float(rows[0])
    return x, y, float(columns[-1]) + 1 - x, float(rows[-1]) + 1 - y
