"""The tracker's arithmetic between boxes and squares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.runtime.tasks.track_crop import box_in_frame, clipped, square_around, within

sides = st.floats(0.5, 500)
places = st.floats(-300, 900)


def test_a_square_s_corner_is_rounded_to_the_even_neighbour() -> None:
    assert square_around((10.0, 10.0, 4.0, 4.0), 4.0).left == 4
    assert square_around((10.5, 11.5, 4.0, 4.0), 4.0).left == 4  # 4.5
    assert square_around((11.5, 11.5, 4.0, 4.0), 4.0).left == 6  # 5.5
    assert square_around((0.0, 0.0, 3.0, 5.0), 2.0).side == math.ceil(2 * math.sqrt(15))


@given(places, places, sides, sides)
def test_a_box_comes_back_from_its_own_square(x: float, y: float, w: float, h: float) -> None:
    square = square_around((x, y, w, h), 4.0)
    same = box_in_frame(square, (0.5, 0.5, w / square.side, h / square.side))
    assert same == pytest.approx((x, y, w, h), abs=1e-6)


@given(places, places, sides, sides, st.integers(1, 700), st.integers(1, 500))
def test_a_clipped_box_lies_in_the_picture_and_keeps_its_margin(
    x: float, y: float, w: float, h: float, width: int, height: int
) -> None:
    left, top, wide, high = clipped((x, y, w, h), (height, width), 10)
    assert 0 <= left <= width
    assert 0 <= top <= height
    assert left + wide <= width + 1e-6
    assert top + high <= height + 1e-6
    assert wide >= min(10, width) - 1e-6
    assert high >= min(10, height) - 1e-6


def test_a_box_inside_is_left_as_it_is() -> None:
    assert clipped((20.0, 30.0, 40.0, 50.0), (480, 640), 10) == (20.0, 30.0, 40.0, 50.0)


@given(places, places, sides, sides)
def test_the_part_of_a_template_that_the_box_holds_is_the_box_to_a_pixel(
    x: float, y: float, w: float, h: float
) -> None:
    square = square_around((x, y, w, h), 2.0)
    for part, first, length in zip(
        within(square, (x, y, w, h)), (y - square.top, x - square.left), (h, w), strict=True
    ):
        assert part.start < part.stop
        assert abs(part.start - max(0, first)) <= 0.5
        assert abs(part.stop - (first + length)) <= 1.5
