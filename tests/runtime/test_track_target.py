"""What holds of a followed target whatever the net says: any boxes, any certainties, frames of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError
from edgevit.kernels import cut_square
from edgevit.runtime import Frame
from edgevit.runtime.tasks.track import Target
from edgevit.runtime.tasks.track_crop import Box, Square
from edgevit.runtime.tasks.track_life import Tuning
from edgevit.runtime.tasks.track_net import Look
from edgevit.spec import TrackSpec

CELLS = 8
PATIENCE = 3
NEXT = {
    "tracking": {"tracking", "uncertain"},
    "uncertain": {"tracking", "uncertain", "lost", "left"},
    "lost": {"lost", "found"},
    "left": {"left", "found"},
    "found": {"tracking", "uncertain"},
}


@dataclass
class Dreamer:
    """Be a net that says what it is told to: one box in shares and one certainty a look, in turn."""

    says: list[tuple[Box, float]]
    features: bool = False
    squares: list[Square] = field(default_factory=list)
    spec: TrackSpec = field(init=False)

    def __post_init__(self) -> None:
        own: dict[str, Any] = {"features": "features", "feature_stride": 8} if self.features else {}
        tuning = (("patience", PATIENCE), ("habit", 1.0 if self.features else 0.0))
        self.spec = TrackSpec((32, 32), (64, 64), tuning=tuning, **own)

    def learn(self, frame: Frame, box_xywh: Box) -> dict[str, Any]:
        return {}

    def look(self, frame: Frame, square: Square, state: object) -> Look:
        self.squares.append(square)
        if square.side <= 512:
            cut_square(frame.data, square.left, square.top, square.side, color="rgb")
        assert 1 <= square.side <= 1 << 14, "no larger square can be cut"
        box, certainty = self.says[len(self.squares) % len(self.says)]
        grid = np.random.default_rng(len(self.squares)).standard_normal((3, CELLS, CELLS)).astype(np.float32)
        return Look(square, box, certainty, grid if self.features else None)


def blank(size_hw: tuple[int, int]) -> Frame:
    """Return a frame of any size that costs no memory."""
    return Frame(np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (*size_hw, 3)), "rgb", 0)


shares = st.floats(0, 1)
boxes = st.tuples(shares, shares, st.floats(1e-4, 1), st.floats(1e-4, 1))
sizes = st.tuples(st.integers(4, 8000), st.integers(4, 8000))


@given(
    st.lists(st.tuples(boxes, shares), min_size=1, max_size=8),
    st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=12),
    boxes,
    st.booleans(),
)
def test_a_box_stays_in_the_picture_and_nothing_is_ever_an_exception(
    says: list[tuple[Box, float]], frames: list[tuple[tuple[int, int], bool]], first: Box, features: bool
) -> None:
    net = Dreamer(says, features)
    (height, width), _ = frames[0]
    start = (first[0] * (width - 1), first[1] * (height - 1), max(1, first[2] * width), max(1, first[3] * height))
    target = Target(net, blank((height, width)), start)  # type: ignore[arg-type]
    state = "tracking"
    for size_hw, cut in frames:
        before = target.box_xywh
        step = target.step(blank(size_hw), cut=cut)
        x, y, w, h = step.box_xywh
        assert all(math.isfinite(value) for value in step.box_xywh)
        assert min(w, h) > 0
        if step.box_xywh != before and size_hw == frames[0][0]:
            assert x < size_hw[1]
            assert y < size_hw[0]
            assert x + w > 0
            assert y + h > 0
        assert 0 <= step.score <= 1
        assert step.state in NEXT[state]
        state = step.state


@given(st.lists(shares, min_size=1, max_size=40))
def test_states_follow_the_certainties_and_a_lost_box_stays(certainties: list[float]) -> None:
    """Loss takes ``patience`` doubts in a row; to be found again takes more than to be held."""
    tuning = Tuning(patience=PATIENCE)
    net = Dreamer([((0.5, 0.5, 0.25, 0.25), 0.0)])
    target = Target(net, blank((480, 640)), (300, 200, 40, 40))  # type: ignore[arg-type]
    doubts, gone = 0, False
    for certainty in certainties:
        net.says = [((0.6, 0.5, 0.25, 0.25), certainty)]
        before = target.box_xywh
        step = target.step(blank((480, 640)))
        was_gone = gone
        believed = certainty >= (tuning.again if gone else tuning.doubt)
        doubts = 0 if believed else doubts + 1
        gone = (gone and not believed) or doubts >= PATIENCE
        assert (step.state in ("lost", "left")) == gone
        assert (step.state == "found") == (was_gone and not gone)
        assert (step.box_xywh != before) == believed
        assert step.score == pytest.approx(certainty)


@pytest.mark.parametrize("size_hw", [(480, 640), (2160, 3840), (4320, 7680)])
def test_a_target_that_fills_the_picture_is_looked_for_when_lost(size_hw: tuple[int, int]) -> None:
    """A square ten times as wide as such a target could not be cut, and would be black almost everywhere."""
    height, width = size_hw
    net = Dreamer([((0.5, 0.5, 0.25, 0.25), 0.0)])
    target = Target(net, blank(size_hw), (0, 0, width, height))  # type: ignore[arg-type]
    states = [target.step(blank(size_hw), cut=n == 1).state for n in range(30)]
    assert states[-1] == "left"
    widest = max(square.side for square in net.squares)
    assert widest <= max(4 * math.sqrt(width * height), 2 * max(width, height)) + 1


def test_a_wider_look_after_a_cut_teaches_the_filter_nothing() -> None:
    """It shows the target smaller than the filter knows it."""
    net = Dreamer([((0.5, 0.5, 0.25, 0.25), 0.9)], features=True)
    target = Target(net, blank((480, 640)), (300, 200, 40, 40))  # type: ignore[arg-type]
    learned: list[Any] = []
    assert target._filter is not None
    target._filter.learn = lambda *args: learned.append(args)  # type: ignore[method-assign]
    target.step(blank((480, 640)))
    assert len(learned) == 1
    target.step(blank((480, 640)), cut=True)
    assert len(learned) == 1


@pytest.mark.parametrize("box", [(0, 0, 1e9, 20), (-1e6, -1e6, 2e6, 2e6), (0, 0, 2000, 2000)])
def test_a_box_far_larger_than_the_picture_is_refused(box: Box) -> None:
    with pytest.raises(InputError, match=r"larger than the picture of 640 x 480"):
        Target(Dreamer([(box, 1.0)]), blank((480, 640)), box)  # type: ignore[arg-type]
