"""What a box is believed that changed its size or shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.runtime.tasks.track_life import likelihood

sides = st.floats(1, 300)


@given(sides, sides, st.floats(0.1, 1), st.floats(0.5, 2))
def test_the_same_box_is_believed_wholly_and_any_other_less(w: float, h: float, strain: float, nearer: float) -> None:
    assert likelihood((w, h), (w, h), strain) == pytest.approx(1)
    assert likelihood((w * nearer, h * nearer), (w, h), strain) <= 1
    assert likelihood((w * nearer, h * nearer), (w, h), strain) == pytest.approx(
        likelihood((w / nearer, h / nearer), (w, h), strain)
    )


def test_a_leap_is_doubted_and_a_step_is_not() -> None:
    assert likelihood((33, 31), (30, 30), 0.4) > 0.9
    assert likelihood((90, 90), (30, 30), 0.4) < 0.5
    assert likelihood((60, 15), (30, 30), 0.4) < 0.35
    assert likelihood((1e6, 1e6), (1, 1), 0.4) < 1e-6


def test_without_strain_and_without_a_box_nothing_is_said() -> None:
    assert likelihood((90, 90), (30, 30), 0) == 1
    assert likelihood((0, 0), (30, 30), 0.4) == 1
