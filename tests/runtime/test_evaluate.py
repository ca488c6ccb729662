"""Accuracy is what was right over what was read, with an honest interval; nothing unread counts, nothing is hidden."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import BadOutputError, InputError, UnsupportedError
from edgevit.progress import Step
from edgevit.runtime.evaluate import Score, evaluate, wilson
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.truth import Sample, Truth

NAMES = tuple(f"thing {n}" for n in range(10))


def sample(label: int, shown: int) -> Sample:
    """Make a sample of one class whose picture is red as another class says, and blue a little."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = shown * 20, 7 * 20
    return Sample(f"{label} as {shown}", label, lambda: Frame(pixels, "rgb", time.monotonic_ns(), 0, f"{shown}"))


class RedReader:
    """Be a session that reads the class from the red channel."""

    def __init__(self, trained: bool = True) -> None:
        self.calls = 0
        self._trained = trained

    def __call__(self, frame: Frame) -> Classification:
        self.calls += 1
        scores = np.full(10, 0.01, np.float32)
        scores[int(frame.to_rgb()[0, 0, 0]) // 20] = 0.9
        return Classification(scores, NAMES, frame, Speed(1, float(self.calls), 0.5), self._trained)


def truth_of(samples: Sequence[Sample]) -> Truth:
    return Truth(tuple(samples), "by hand")


def test_top1_counts_what_is_right() -> None:
    found = evaluate(RedReader(), truth_of([sample(n, n) for n in range(10)] + [sample(3, 4), sample(3, 5)]))
    assert found.score.count == 12
    assert found.score.top1 == round(10 / 12, 6)
    assert found.worst == (("thing 3", 1, 3),)
    assert found.classes_seen == 10
    assert found.speed_p50["inference"] == 6.5
    assert found.slowest[0] == ("3 as 5", 13.5)
    json.dumps(found.to_dict(), allow_nan=False)


def test_top5_takes_the_order_of_classes_where_scores_are_equal() -> None:
    # All but one class have equal scores: the answer's first five are the red one and classes 0 to 3.
    found = evaluate(RedReader(), truth_of([sample(n, 9) for n in range(9)]))
    assert found.score.top1 == 0
    assert found.score.top5 == round(4 / 9, 6)


def test_top5_says_nothing_among_five_classes() -> None:
    assert Score.of([0, 1, 2], 5).top5 is None


def test_exchanged_colours_show_in_a_score_of_their_own() -> None:
    found = evaluate(RedReader(), truth_of([sample(7, n) for n in range(10)]), both_colors=True)
    assert found.score.top1 == 0.1
    assert found.swapped is not None
    assert found.swapped.top1 == 1.0


def test_an_unreadable_picture_is_reported_and_not_counted() -> None:
    def cut() -> Frame:
        raise InputError("The picture b.jpg is cut short.")

    found = evaluate(RedReader(), truth_of([sample(1, 1), Sample("b.jpg", 2, cut)]))
    assert found.score.count == 1
    assert found.unreadable == (("b.jpg", "The picture b.jpg is cut short."),)
    with pytest.raises(InputError, match=r"None of the 1 pictures could be read.*cut short"):
        evaluate(RedReader(), truth_of([Sample("b.jpg", 2, cut)]))


def test_a_fault_of_the_engine_is_no_unreadable_picture() -> None:
    def session(frame: Frame) -> Classification:
        raise BadOutputError("NaN")

    with pytest.raises(BadOutputError):
        evaluate(session, truth_of([sample(1, 1)]))


def test_other_tasks_and_other_class_counts_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="answers with str"):
        evaluate(lambda frame: "box", truth_of([sample(1, 1)]))
    with pytest.raises(InputError, match="of class 12"):
        evaluate(RedReader(), truth_of([sample(12, 1)]))


def test_untrained_weights_are_passed_on() -> None:
    assert evaluate(RedReader(trained=False), truth_of([sample(1, 1)])).trained is False


def test_progress_begins_and_ends() -> None:
    steps: list[Step] = []
    evaluate(RedReader(), truth_of([sample(1, 1)] * 3), progress=steps.append)
    assert steps[0].done == 0
    assert steps[-1].done == steps[-1].total == 3
    assert steps[-1].seconds is not None


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    right, count = counts
    low, high = wilson(right, count)
    assert 0 <= low <= right / count + 1e-6
    assert right / count - 1e-6 <= high <= 1
    assert high - low < 2.2 / math.sqrt(count)


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
