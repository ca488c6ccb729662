"""Follow one target through frames: the net's box, the filter's place, and what to do when neither is sure.

Each frame costs one look of the net where it was last seen, a camera's cut a second one, wider. A lost target is
looked for around its last place, ever wider, and then square by square over the whole picture, one more a frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgevit.kernels import CROP, LONGEST_SQUARE, PREPROCESS

from ..boxes import sound_box
from ..frame import Frame
from .track_crop import Box, Square, box_in_frame, clipped, square_around
from .track_filter import Answer, CorrelationFilter, FilterPlan
from .track_habit import Habit
from .track_life import Life, TrackState, Tuning, likelihood
from .track_net import Look, TrackNet

OPERATIONS = {"preprocess": PREPROCESS, "crop": CROP}

_WIDER = (1.0, 1.6, 2.5)
"""How much wider the net looks around the last place, frame after frame, before it goes over the whole picture."""
_LEAST_PX = 1.0
_EDGE = 0.02
"""Share of the picture's side within which a box is at its edge."""


@dataclass(frozen=True)
class Step:
    """Hold what one frame brought: a box in x, y, w, h, and how sure it is."""

    box_xywh: Box
    score: float
    state: TrackState


class Target:
    """Follow one target. ``box_xywh`` is where it was last believed to be, ``seen`` its last frame and box of no doubt.

    ``origin`` is the same for all that follow the same thing in turn.
    """

    def __init__(self, net: TrackNet, frame: Frame, box_xywh: Box, origin: object = None) -> None:
        self.box_xywh = sound_box(box_xywh, frame.size_hw)
        self.seen = (frame, self.box_xywh)
        self.origin = origin or object()
        self._net = net
        self._tuning = Tuning.of(net.spec)
        self._life = Life(self._tuning)
        self._size_hw = frame.size_hw
        self._state = net.learn(frame, self.box_xywh)
        self._filter: CorrelationFilter | None = None
        self._habit = Habit()
        if net.spec.features is not None or self._tuning.habit:
            look = net.look(frame, self._around(1.0), self._state)
            seen = box_in_frame(look.square, look.box_cxcywh)
            self._habit = Habit.between(seen, self.box_xywh, self._tuning.habit)
        if net.spec.features is not None:
            assert look.features is not None
            grid = (look.features.shape[1], look.features.shape[2])
            plan = FilterPlan(self._tuning.width, self._tuning.rate, self._tuning.kept, self._tuning.noise)
            self._filter = CorrelationFilter(grid, plan)
            self._filter.learn(look.features, self._cells(look.square))

    def step(self, frame: Frame, *, cut: bool = False) -> Step:
        """Look for the target in the next frame; ``cut`` is whether the camera shows another scene than before."""
        if frame.size_hw != self._size_hw:
            self._resized(frame.size_hw)
        looks = [self._looked(frame, square) for square in self._squares(frame, cut=cut)]
        best = max(looks, key=lambda look: look.certainty)
        own = self._at_own_size(best)
        moved, certainty = self._moved(best)
        if self._life.believes(certainty):
            self.box_xywh = clipped(moved, frame.size_hw, self._net.spec.margin)
            if own and certainty >= self._tuning.sure and not self._life.gone:
                self._learn(best)
        state = self._life.next(certainty, at_edge=self._at_edge(frame.size_hw))
        if state == "tracking":
            self.seen = (frame, self.box_xywh)
        return Step(self.box_xywh, certainty, state)

    def resume(self, frame: Frame, box_xywh: Box) -> None:
        """Go on from where another tracker saw the target, with what this one learnt of it at first."""
        self._size_hw = frame.size_hw
        self.box_xywh = sound_box(box_xywh, frame.size_hw)
        self.seen = (frame, self.box_xywh)
        self._life = Life(self._tuning)

    def _looked(self, frame: Frame, square: Square) -> Look:
        """Ask the net; the more its box differs from what the target was like, the less it is believed."""
        look = self._net.look(frame, square, self._state)
        w, h = self._habit.undone(box_in_frame(look.square, look.box_cxcywh))[2:]
        return replace(look, certainty=look.certainty * likelihood((w, h), self.box_xywh[2:], self._tuning.strain))

    def _squares(self, frame: Frame, *, cut: bool) -> list[Square]:
        """Say where to look in this frame."""
        if not self._life.gone:
            # The wider look comes first: of two that are as sure, it shows the target whole.
            return [*([self._around(_WIDER[-1])] if cut else []), self._around(1.0)]
        number = self._life.frames_gone
        if number < 2 * len(_WIDER):
            return [self._around(_WIDER[number % len(_WIDER)])]
        return [self._around(_WIDER[number % len(_WIDER)]), self._swept(number, frame.size_hw)]

    def _around(self, wider: float) -> Square:
        return square_around(self.box_xywh, self._factor(wider))

    def _factor(self, wider: float) -> float:
        """Return how many times the target a square shows; one that is looked for needs no more than the picture."""
        own = self._net.spec.search_factor
        target = math.sqrt(self.box_xywh[2] * self.box_xywh[3])
        whole = 2 * max(self._size_hw) / target
        return min(max(own, min(own * wider, whole)), (LONGEST_SQUARE - 1) / target)

    def _swept(self, number: int, size_hw: tuple[int, int]) -> Square:
        """Return one square of a grid over the picture; they follow one another, overlapping by half."""
        side = self._around(1.0).side
        rows, columns = (max(1, math.ceil(2 * length / side) - 1) for length in size_hw)
        row, column = divmod(number % (rows * columns), columns)
        x = (column + 1) * size_hw[1] / (columns + 1)
        y = (row + 1) * size_hw[0] / (rows + 1)
        w, h = self.box_xywh[2:]
        return square_around((x - w / 2, y - h / 2, w, h), self._factor(1.0))

    def _moved(self, look: Look) -> tuple[Box, float]:
        """Join what the net and the filter say into one box, and into one certainty."""
        net = self._habit.undone(box_in_frame(look.square, look.box_cxcywh))
        size = self._size(net, look.certainty)
        centre = (net[0] + net[2] / 2, net[1] + net[3] / 2)
        certainty = look.certainty
        if answer := self._asked(look):
            place = self._place(look.square, answer)
            apart = math.dist(centre, place) / math.sqrt(max(1e-9, self.box_xywh[2] * self.box_xywh[3]))
            if apart <= self._tuning.agree:
                share = self._tuning.filter
                centre = tuple(share * f + (1 - share) * n for f, n in zip(place, centre, strict=True))  # type: ignore[assignment]
            elif answer.sharpness >= self._tuning.sharp and certainty < self._tuning.sure:
                centre = place
                certainty = max(certainty, self._tuning.doubt)
        return (centre[0] - size[0] / 2, centre[1] - size[1] / 2, *size), certainty

    def _asked(self, look: Look) -> Answer | None:
        """Ask the filter, if there is one that can say something of this look."""
        if self._filter is None or look.features is None or not self._at_own_size(look):
            return None
        return self._filter.find(look.features)

    def _at_own_size(self, look: Look) -> bool:
        """Tell whether a look shows the target as the filter knows it; a wider one shows it smaller."""
        return look.square.side == self._around(1.0).side

    def _place(self, square: Square, answer: Answer) -> tuple[float, float]:
        cell = self._cell_px(square)
        return square.centre_xy[0] + answer.dx * cell, square.centre_xy[1] + answer.dy * cell

    def _size(self, net: Box, certainty: float) -> tuple[float, float]:
        """Follow the net's size slowly, and the slower the less sure it is; in logarithms, so that up equals down."""
        share = self._tuning.smooth * min(1.0, certainty / max(1e-6, self._tuning.sure))
        w, h = (
            old * (max(new, _LEAST_PX) / max(old, _LEAST_PX)) ** share
            for old, new in zip(self.box_xywh[2:], net[2:], strict=True)
        )
        return max(w, _LEAST_PX), max(h, _LEAST_PX)

    def _learn(self, look: Look) -> None:
        """Let the filter see the target where it is now, from the look that found it."""
        if self._filter is None or look.features is None or look.square.side <= 0:
            return
        cell = self._cell_px(look.square)
        x, y, w, h = self.box_xywh
        at = tuple(
            (middle - centre) / cell
            for middle, centre in zip((x + w / 2, y + h / 2), look.square.centre_xy, strict=True)
        )
        self._filter.learn(look.features, self._cells(look.square), (at[0], at[1]))

    def _cell_px(self, square: Square) -> float:
        """Return how many pixels of the frame one cell of the features is wide."""
        spec = self._net.spec
        assert spec.feature_stride is not None
        return spec.feature_stride * square.side / spec.search_size_hw[1]

    def _cells(self, square: Square) -> tuple[float, float]:
        cell = self._cell_px(square)
        return self.box_xywh[3] / cell, self.box_xywh[2] / cell

    def _at_edge(self, size_hw: tuple[int, int]) -> bool:
        height, width = size_hw
        x, y, w, h = self.box_xywh
        return (
            x <= _EDGE * width or y <= _EDGE * height or x + w >= (1 - _EDGE) * width or y + h >= (1 - _EDGE) * height
        )

    def _resized(self, size_hw: tuple[int, int]) -> None:
        """Carry the box over to frames of another size: the same share of the picture."""
        down, right = (new / old for new, old in zip(size_hw, self._size_hw, strict=True))
        x, y, w, h = self.box_xywh
        self.box_xywh = (x * right, y * down, w * right, h * down)
        self._size_hw = size_hw
