"""A frame on its way into a session, and what a session's answer is to a type checker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_bundles

import edgevit
from edgevit.errors import InputError
from edgevit.runtime.frame import Frame, frame_of
from edgevit.runtime.results import Result

GREY = np.full((8, 8, 3), 128, np.uint8)


@pytest.mark.parametrize("color", ["nonsense", "rgb", "bgr"])
def test_a_frame_has_its_colour_order_and_takes_no_other(color: str) -> None:
    frame = Frame(GREY, "bgr", 0)
    assert frame_of(frame, None) is frame
    with pytest.raises(InputError, match=f"The frame says it is bgr, and color='{color}' was given too"):
        frame_of(frame, color)


def test_an_array_needs_a_colour_order_that_exists() -> None:
    assert frame_of(GREY, "rgb").pixel_format == "rgb"
    with pytest.raises(InputError, match=r"pixel_format must be one of bgr, rgb, .*, not 'nonsense'"):
        frame_of(GREY, "nonsense")
    with pytest.raises(InputError, match="color='rgb'"):
        frame_of(GREY, None)


def test_an_answer_is_used_without_asking_what_it_is(tmp_path: Path) -> None:
    """The README's own lines: a type checker must let them pass, which is why nothing is asserted of the type here."""
    with edgevit.load(tiny_bundles.write(tmp_path / "tiny"), engine="null") as session:
        for result in session.stream([Frame(GREY, "rgb", 0)] * 2):
            assert result.name(result.top1) in tiny_bundles.LABELS
            assert result.scores[result.top1] > 0
            assert set(result.speed) == {"preprocess", "inference", "postprocess"}
        common: Result = session(GREY, color="bgr")
        assert set(common.speed) == set(result.speed)
        (alone,) = session.stream([GREY], color="rgb")
        assert alone.frame.pixel_format == "rgb"
        with pytest.raises(InputError, match="The frame says it is rgb"):
            list(session.stream([Frame(GREY, "rgb", 0)], color="bgr"))
