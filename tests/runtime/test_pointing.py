"""Boxes around what a point is on: on rendered clips whose boxes are known, and on whatever else may be clicked."""

from __future__ import annotations

import math
import statistics

import blob_tracker
import numpy as np
import pytest
import red_box
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.errors import InputError
from edgevit.runtime import Frame
from edgevit.runtime.pointing import box_at
from edgevit.runtime.track_score import Box, overlap
from edgevit.scenes.clips import Clip

MIDDLE = (52.0, 50.0)


def frame(pixels: np.ndarray, layout: str = "rgb") -> Frame:
    return Frame(np.ascontiguousarray(pixels), layout, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "least"), [((0.5, 0.5), 0.85), ((0.4, 0.6), 0.8), ((0.8, 0.5), 0.6), ((0.2, 0.3), 0.6)]
)
def test_a_thing_that_stands_out_is_found_from_any_point_on_it(share: tuple[float, float], least: float) -> None:
    """The nearer the middle, the better: that it is clicked there is one of the reasons that are weighed."""
    true = red_box.box_xywh(0)
    point = (true[0] + share[0] * true[2], true[1] + share[1] * true[3])
    assert overlap(box_at(frame(red_box.picture(0)), point), true) > least


def clips(count: int) -> list[tuple[np.ndarray, Box]]:
    """Return first frames in which the whole target can be seen, none of them looked at when numbers were chosen."""
    shots = [
        Clip(("plain", "rivals", "demo")[seed % 3], seed=seed, count=60).shot(0) for seed in range(3000, 3000 + count)
    ]
    return [(shot.rgb, shot.box_xywh) for shot in shots if shot.box_xywh is not None and shot.visible > 0.9]


def test_on_rendered_clips_it_beats_a_square_of_the_usual_size() -> None:
    """Textured things on textured grounds, with look-alikes; the point lies beside the middle, as a hand's does."""
    ours, squares = [], []
    for number, (rgb, true) in enumerate(clips(18)):
        turn = 2.4 * number
        point = (
            true[0] + true[2] * (0.5 + 0.15 * np.cos(turn)),
            true[1] + true[3] * (0.5 + 0.15 * np.sin(turn)),
        )
        side = 0.2 * min(rgb.shape[:2])
        ours.append(overlap(box_at(frame(rgb), point), true))
        squares.append(overlap((point[0] - side / 2, point[1] - side / 2, side, side), true))
    assert statistics.mean(ours) > 0.65
    assert statistics.mean(ours) > statistics.mean(squares) + 0.08


@pytest.mark.parametrize("layout", ["bgr", "nv12", "gray"])
def test_every_layout_of_a_camera_is_looked_at(layout: str) -> None:
    rgb = red_box.picture(0)
    if layout == "bgr":
        pixels = rgb[..., ::-1]
    elif layout == "gray":
        pixels = np.where((rgb == red_box.RED).all(2), 255, rgb[..., 0]).astype(np.uint8)
    else:
        luma = np.where((rgb == red_box.RED).all(2), 80, rgb[..., 0])
        chroma = np.full((60, 160), 128)
        chroma[20:30, 40:64:2], chroma[20:30, 41:64:2] = 90, 240
        pixels = np.concatenate([luma, chroma]).astype(np.uint8)
    assert box_at(frame(pixels, layout), MIDDLE) == pytest.approx(red_box.box_xywh(0), abs=4)


def test_a_picture_of_twice_the_size_has_a_box_of_twice_the_size() -> None:
    small = box_at(frame(red_box.picture(0)), MIDDLE)
    large = box_at(frame(red_box.picture(0, size_hw=(240, 320))), (104.0, 100.0))
    assert large == pytest.approx([2 * value for value in small], abs=5)


def test_where_nothing_stands_out_it_is_a_square_of_a_fifth() -> None:
    flat = frame(np.full((100, 200, 3), 120, np.uint8))
    assert box_at(flat, (90, 50)) == (80, 40, 20, 20)
    assert box_at(flat, (3, 99)) == (0, 89, 13, 11), "inside the picture"


@settings(max_examples=25)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 0.999), st.floats(0, 0.999), st.integers(0, 3))
def test_any_point_of_any_picture_has_a_box_inside_it(
    height: int, width: int, across: float, down: float, coarse: int
) -> None:
    numbers = np.random.default_rng(height * 91 + width)
    blocks = numbers.integers(0, 256, (height // 2**coarse + 1, width // 2**coarse + 1, 3), np.uint8)
    pixels = np.repeat(np.repeat(blocks, 2**coarse, 0), 2**coarse, 1)[:height, :width]
    x, y, w, h = box_at(frame(pixels), (across * width, down * height))
    assert min(w, h) > 0
    assert x >= 0
    assert y >= 0
    assert x + w <= width + 1e-6
    assert y + h <= height + 1e-6


@pytest.mark.parametrize("point", [(-1, 5), (160, 5), (5, 120), (float("nan"), 5), (5, float("inf"))])
def test_a_point_outside_the_picture_is_refused(point: tuple[float, float]) -> None:
    words = r"lies outside the picture of 160 x 120 pixels" if math.isfinite(sum(point)) else r"two finite numbers x, y"
    with pytest.raises(InputError, match=words):
        box_at(frame(red_box.picture(0)), point)


def test_a_session_starts_at_a_point() -> None:
    tracker, _ = blob_tracker.session(features=False)
    started = tracker.start_at(red_box.picture(0), MIDDLE, id=4, color="rgb")
    assert started.id == 4
    assert started.box_xywh == pytest.approx(red_box.box_xywh(0), abs=3)
    (track,) = tracker(red_box.picture(1), color="rgb")
    assert track.box_xywh == pytest.approx(red_box.box_xywh(1), abs=4)
    with pytest.raises(InputError, match="outside the picture"):
        tracker.start_at(red_box.picture(0), (500, 5), color="rgb")
    assert tracker.ids == (4,)
