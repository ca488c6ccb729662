"""What the net was off in the first frame is undone in the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.runtime.tasks.track_habit import Habit

sides = st.floats(20, 30)
places = st.floats(0, 4)


@given(places, places, sides, sides, places, places, sides, sides, st.floats(0.5, 2), st.floats(-50, 50))
def test_the_same_answer_elsewhere_and_nearer_becomes_the_drawn_box_there(
    x: float, y: float, w: float, h: float, left: float, top: float, wide: float, tall: float, nearer: float, on: float
) -> None:
    seen, drawn = (x, y, w, h), (left, top, wide, tall)
    habit = Habit.between(seen, drawn, 1.0)

    def moved(box: tuple[float, ...]) -> tuple[float, float, float, float]:
        return nearer * box[0] + on, nearer * box[1] - on, nearer * box[2], nearer * box[3]

    assert habit.undone(moved(seen)) == pytest.approx(moved(drawn), abs=1e-6)


@pytest.mark.parametrize(
    ("seen", "share"),
    [
        ((60, 0, 20, 20), 1.0),  # elsewhere
        ((0, 0, 3, 20), 1.0),  # a sliver of it
        ((0, 0, 0, 0), 1.0),  # nothing
        ((2, 2, 18, 18), 0.0),  # not asked for
    ],
)
def test_what_is_no_habit_changes_nothing(seen: tuple[float, float, float, float], share: float) -> None:
    habit = Habit.between(seen, (0.0, 0.0, 20.0, 20.0), share)
    assert habit == Habit()
    assert habit.undone((5, 6, 7, 8)) == pytest.approx((5, 6, 7, 8))
