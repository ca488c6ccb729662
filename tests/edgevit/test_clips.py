"""Built-in clips: the same frame in any order, true boxes, and each kind's own trouble."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError, UnknownNameError
from edgevit.scenes.clips import KINDS, Clip
from edgevit.scenes.paths import Path

SIZE = (96, 128)


def clip(kind: str, count: int = 40, seed: int = 3) -> Clip:
    return Clip(kind, seed=seed, count=count, size_hw=SIZE)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_frame_is_the_same_in_any_order(kind: str) -> None:
    one, other = clip(kind), clip(kind)
    last = one.shot(39).rgb
    other.shot(0)
    np.testing.assert_array_equal(last, other.shot(39).rgb)
    assert last.shape == (*SIZE, 3)
    assert last.dtype == np.uint8


@pytest.mark.parametrize("seed", range(4))
def test_the_true_box_holds_the_target_and_nothing_else_changes(seed: int) -> None:
    """Without its target a clip would look the same outside the true box: rivals are painted before it."""
    made, without = clip("rivals", seed=seed), clip("rivals", seed=seed)
    without._paint_target = lambda *_: np.zeros(SIZE, np.float32)  # type: ignore[method-assign]
    for index in (0, 13, 27):
        shot, bare = made.shot(index), without.shot(index)
        assert shot.box_xywh is not None
        differs = (shot.rgb != bare.rgb).any(2)
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        x, y, w, h = shot.box_xywh
        # Blur carries the edge outwards by a pixel or two.
        assert columns[0] == pytest.approx(x, abs=4)
        assert columns[-1] + 1 == pytest.approx(x + w, abs=4)
        assert rows[0] == pytest.approx(y, abs=4)
        assert rows[-1] + 1 == pytest.approx(y + h, abs=4)


def test_each_kind_has_its_own_trouble() -> None:
    assert all(clip("plain").shot(n).visible > 0.7 for n in range(0, 40, 5))
    hidden = clip("hidden")
    assert min(hidden.shot(n).visible for n in range(10, 15)) < 0.2
    assert hidden.shot(0).visible > 0.9
    away = [clip("away").shot(n) for n in range(40)]
    assert away[20].box_xywh is None
    assert away[0].box_xywh is not None
    assert away[39].box_xywh is not None
    cut = [clip("cut").shot(n).rgb.astype(float) for n in (18, 19, 20, 21)]
    jumps = [abs(after - before).mean() for before, after in itertools.pairwise(cut)]
    assert jumps[1] > 3 * max(jumps[0], jumps[2])


def test_two_seeds_are_two_clips() -> None:
    pictures = {hashlib.sha256(clip("demo", seed=seed).shot(0).rgb.tobytes()).hexdigest() for seed in range(5)}
    assert len(pictures) == 5


def test_a_clip_moves_and_does_not_jump() -> None:
    boxes = [shot.box_xywh for shot in map(clip("plain", count=150).shot, range(150)) if shot.box_xywh]
    middles = np.array([(x + w / 2, y + h / 2) for x, y, w, h in boxes])
    steps = np.hypot(*np.diff(middles, axis=0).T)
    assert steps.max() < 12
    assert np.hypot(*(middles.max(0) - middles.min(0))) > 30


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"kind": "plane"}, UnknownNameError, "plain, rivals"),
        ({"count": 1}, InputError, "2 to"),
        ({"size_hw": (8, 64)}, InputError, "64 to 4096"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Clip(**wrong)  # type: ignore[arg-type]


def test_a_frame_beyond_the_end_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 39, not 40"):
        clip("plain").shot(40)


@given(st.lists(st.tuples(st.floats(-9, 9)), min_size=1, max_size=6), st.floats(0.5, 40))
def test_a_path_goes_through_its_points_and_rests_at_both_ends(points: list[tuple[float]], pace: float) -> None:
    path = Path(tuple(points), pace)
    for number, point in enumerate(points):
        assert path.at(number * pace) == pytest.approx(point, abs=1e-6)
    assert path.at(-5) == pytest.approx(points[0])
    assert path.at(1e6) == pytest.approx(points[-1])
