"""Built-in clips are sequences like those in folders."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.errors import UnknownNameError
from edgevit.runtime.evaluate_track import evaluate
from edgevit.runtime.track_clips import box_in_name, built_in
from edgevit.runtime.track_rivals import Static
from edgevit.scenes.clips import KINDS, Clip


def test_a_clip_has_the_boxes_that_it_was_rendered_with() -> None:
    (sequence,) = built_in("synthetic://clip?kind=hidden&seed=3&count=20&size=64x96")
    clip = Clip("hidden", seed=3, count=20, size_hw=(64, 96))
    shots = [clip.shot(index) for index in range(20)]
    assert None in sequence.boxes_xywh
    assert sequence.boxes_xywh == tuple(shot.box_xywh for shot in shots)
    for frame, shot in zip(sequence.frames(), shots, strict=True):
        np.testing.assert_array_equal(frame.data, shot.rgb)


def test_without_a_kind_there_is_one_of_each() -> None:
    found = built_in("synthetic://clip?count=4&size=64x64&seed=5")
    assert [sequence.name for sequence in found] == [f"{kind} 5" for kind in KINDS]
    assert len({sequence.boxes_xywh for sequence in found}) > 1


def test_a_box_that_stays_is_measured_on_one() -> None:
    (run,) = evaluate({"static": Static()}, built_in("synthetic://clip?kind=plain&count=6&size=64x96"))
    assert run.sequence == "plain 7"
    assert run.score.frames == 5


def test_other_names_hold_no_box() -> None:
    assert box_in_name("synthetic://clip/plain/0003@40,32,18,20.png") == (40, 32, 18, 20)
    assert box_in_name("synthetic://clip/plain/0003.png") is None
    assert box_in_name("me@40,32,18,20.png") is None


def test_a_kind_that_is_none_is_named() -> None:
    (sequence,) = built_in("synthetic://clip?kind=sad")
    with pytest.raises(UnknownNameError, match="'sad'"):
        tuple(sequence.frames())
