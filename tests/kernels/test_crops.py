"""Squares cut out of frames equal the published trackers' arithmetic, in every colour layout and beyond every edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError
from edgevit.kernels import to_rgb
from edgevit.kernels.crops import cut_square, fade_outside

Pixels = npt.NDArray[np.uint8]


def padded(frame: Pixels, left: int, top: int, side: int) -> Pixels:
    """Cut as the published code does: pads counted first, the last row and column given up where it reaches them."""
    height, width = frame.shape[:2]
    right, bottom = left + side, top + side
    pad_left, pad_right = max(0, -left), max(right - width + 1, 0)
    pad_top, pad_bottom = max(0, -top), max(bottom - height + 1, 0)
    part = frame[
        max(0, top + pad_top) : max(0, bottom - pad_bottom), max(0, left + pad_left) : max(0, right - pad_right)
    ]
    out = np.zeros((side, side, 3), np.uint8)
    if part.size:
        out[pad_top : pad_top + part.shape[0], pad_left : pad_left + part.shape[1]] = part
    return out


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 70), st.integers(1, 33), st.integers(1, 41))
def test_a_square_is_the_published_one_wherever_it_lies(
    left: int, top: int, side: int, height: int, width: int
) -> None:
    frame = np.random.default_rng(height * width).integers(1, 256, (height, width, 3), np.uint8)
    wanted = padded(frame, left, top, side)
    np.testing.assert_array_equal(cut_square(frame, left, top, side, color="rgb"), wanted)
    np.testing.assert_array_equal(cut_square(frame[..., ::-1], left, top, side, color="bgr"), wanted)


@given(
    st.sampled_from(["gray", "rgba", "bgra", "nv12", "i420", "yuyv"]),
    st.integers(-9, 40),
    st.integers(-9, 30),
    st.integers(1, 50),
)
def test_a_square_of_any_layout_is_that_of_the_whole_picture(layout: str, left: int, top: int, side: int) -> None:
    shapes = {"gray": (24, 32), "rgba": (24, 32, 4), "bgra": (24, 32, 4), "yuyv": (24, 32, 2)}
    frame = np.random.default_rng(7).integers(0, 256, shapes.get(layout, (36, 32)), np.uint8)
    whole = to_rgb(frame, layout)
    found = cut_square(frame, left, top, side, color=layout)
    np.testing.assert_array_equal(found, cut_square(whole, left, top, side, color="rgb"))


@pytest.mark.parametrize("side", [0, -3, 1 << 20])
def test_a_square_that_no_sound_box_has_is_refused(side: int) -> None:
    with pytest.raises(InputError, match="is the box sound"):
        cut_square(np.zeros((8, 8, 3), np.uint8), 0, 0, side, color="rgb")


@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 30), st.integers(1, 40))
def test_fading_halves_the_distance_from_grey_outside_alone(top: int, height: int, left: int, width: int) -> None:
    square = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    before = square.copy()
    faded = fade_outside(square, slice(top, top + height), slice(left, left + width))
    inside = np.zeros((32, 32), bool)
    inside[top : top + height, left : left + width] = True
    np.testing.assert_array_equal(square, before)
    np.testing.assert_array_equal(faded[inside], square[inside])
    np.testing.assert_array_equal(faded[~inside], (square[~inside].astype(int) + 128) // 2)
