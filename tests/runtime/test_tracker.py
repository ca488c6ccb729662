"""A tracker's session: starting, following, doubting, losing, finding again. The net is a colour finder."""

from __future__ import annotations

import math
from collections.abc import Iterator

import blob_tracker
import numpy as np
import numpy.typing as npt
import pytest

from edgevit.errors import EngineError, InputError, UsageError
from edgevit.runtime import Frame, Track

Pixels = npt.NDArray[np.uint8]
SIZE_HW = (240, 320)
RED, BLUE = (230, 30, 40), (30, 60, 220)
Box = tuple[float, float, float, float]


def picture(*things: tuple[Box, tuple[int, int, int]], size_hw: tuple[int, int] = SIZE_HW, seed: int = 0) -> Pixels:
    """Paint boxes left, top, right, bottom on grey grain."""
    grain = np.random.default_rng(seed).integers(90, 150, (*size_hw, 1), np.uint8)
    canvas = np.repeat(grain, 3, axis=2)
    for (left, top, right, bottom), colour in things:
        canvas[max(0, int(top)) : max(0, int(bottom)), max(0, int(left)) : max(0, int(right))] = colour
    return canvas


def frame(*things: tuple[Box, tuple[int, int, int]], **options: object) -> Frame:
    return Frame(picture(*things, **options), "rgb", 0)  # type: ignore[arg-type]


def at(x: float, y: float, w: float = 40, h: float = 30) -> Box:
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def walk(steps: int) -> Iterator[Box]:
    for n in range(steps):
        yield at(80 + 5 * n, 100 + 20 * math.sin(n / 4))


def test_a_target_is_followed_to_a_pixel_in_any_colour_layout() -> None:
    for layout in ("rgb", "bgr"):
        tracker, _ = blob_tracker.session(features=False)
        first, *others = walk(30)

        def shown(box: Box) -> Frame:
            pixels = picture((box, RED))
            return Frame(pixels if layout == "rgb" else pixels[..., ::-1].copy(), layout, 0)  # noqa: B023 # type: ignore[arg-type]

        tracker.start(shown(first), first)
        for box in others:
            (track,) = tracker(shown(box))
            assert track.state == "tracking"
            assert track.box_xyxy == pytest.approx(np.array(box), abs=4)
        assert track.box_xyxy[:2] == pytest.approx(np.array(others[-1][:2]), abs=3)


def test_the_answer_tells_all_that_an_app_needs() -> None:
    tracker, _ = blob_tracker.session()
    started = tracker.start(frame((at(80, 100), RED)), at(80, 100))
    assert isinstance(started, Track)
    assert (started.id, started.state, started.visible) == (1, "tracking", True)
    (track,) = tracker(frame((at(84, 100), RED)))
    told = track.to_dict()
    assert told["task"] == "track"
    assert told["state"] == "tracking"
    assert told["box_xyxy"] == pytest.approx(at(84, 100), abs=4)
    assert track.box_xywh == pytest.approx((64, 85, 40, 30), abs=4)
    assert track.speed["inference"] > 0
    assert "tracking" in str(track)


def test_several_targets_answer_in_the_order_in_which_they_were_started() -> None:
    tracker, _ = blob_tracker.session()
    one, two = at(60, 60), at(250, 180)
    start = frame((one, RED), (two, BLUE))
    assert tracker.start(start, one).id == 1
    assert tracker.start(start, two, id=7).id == 7
    tracks = tracker(frame((at(64, 60), RED), (at(246, 180), BLUE)))
    assert [track.id for track in tracks] == [1, 7]
    assert tracks[1].box_xyxy == pytest.approx(np.array(at(246, 180)), abs=4)
    tracker.stop(1)
    assert tracker.ids == (7,)
    assert len(tracker(start)) == 1
    with pytest.raises(UsageError, match="No target has the id 1; followed are: 7"):
        tracker.stop(1)


def test_targets_together_are_answered_as_each_alone() -> None:
    """One that is lost, one that leaves, and one that stays do not disturb each other."""
    firsts = [at(60, 60), at(250, 180), at(160, 40)]
    green = (20, 160, 90)
    film = [
        frame(
            *([(at(60 + 2 * n, 60), RED)] if n % 16 < 8 else []),
            (at(250 + 6 * n, 180), BLUE),
            (at(160, 40 + 2 * n), green),
            seed=n,
        )
        for n in range(24)
    ]

    def follow(boxes: list[Box]) -> list[list[tuple[str, list[float]]]]:
        tracker, _ = blob_tracker.session()
        for box in boxes:
            tracker.start(film[0], box)
        return [[(track.state, track.box_xyxy.tolist()) for track in tracker(shown)] for shown in film[1:]]

    together = follow(firsts)
    alone = [follow([box]) for box in firsts]
    assert together == [[one[n][0] for one in alone] for n in range(23)]
    assert {state for (state, _), *_ in together} > {"lost", "found"}
    assert together[-1][1][0] == "left"
    assert together[-1][2][0] == "tracking"


def states(tracker: object, frames: list[Frame]) -> list[str]:
    return [tracker(shown)[0].state for shown in frames]  # type: ignore[operator]


def test_a_short_doubt_is_no_loss_and_a_long_one_is_an_event() -> None:
    tracker, _ = blob_tracker.session(features=False)
    there, empty = frame((at(160, 120), RED)), frame()
    tracker.start(there, at(160, 120))
    assert states(tracker, [there, empty, there]) == ["tracking", "uncertain", "tracking"]
    assert states(tracker, [empty] * 4) == ["uncertain", "uncertain", "lost", "lost"]
    (track,) = tracker(empty)
    assert not track.visible
    assert track.score < 0.1
    assert track.box_xyxy == pytest.approx(np.array(at(160, 120)), abs=4)  # the last place that was believed
    assert states(tracker, [there, there]) == ["found", "tracking"]


def test_what_goes_over_the_edge_has_left_and_comes_back() -> None:
    tracker, _ = blob_tracker.session(features=False)
    tracker.start(frame((at(270, 120), RED)), at(270, 120))
    for x in range(274, 350, 8):
        tracker(frame((at(x, 120), RED)))
    assert states(tracker, [frame()] * 4)[-1] == "left"
    assert states(tracker, [frame((at(295, 120), RED))] * 2) == ["found", "tracking"]


def test_a_lost_target_is_found_anywhere_in_the_picture() -> None:
    tracker, _ = blob_tracker.session(features=False)
    tracker.start(frame((at(40, 40), RED)), at(40, 40))
    states(tracker, [frame()] * 4)
    far = frame((at(290, 210), RED))
    seen = states(tracker, [far] * 40)
    assert "found" in seen
    assert seen[-1] == "tracking"
    assert tracker(far)[0].box_xyxy == pytest.approx(np.array(at(290, 210)), abs=4)


def test_a_cut_is_noticed_and_the_wider_look_finds_the_target_at_once() -> None:
    tracker, search = blob_tracker.session(features=False)
    tracker.start(frame((at(80, 100), RED)), at(80, 100))
    tracker(frame((at(82, 100), RED)))
    bright = Frame(np.where(picture((at(150, 140), RED)) == RED, RED, 250).astype(np.uint8), "rgb", 0)
    before = search.looks
    (track,) = tracker(bright)
    assert search.looks == before + 2
    assert track.box_xyxy == pytest.approx(np.array(at(150, 140)), abs=12)


def test_frames_may_change_their_size() -> None:
    tracker, _ = blob_tracker.session(features=False)
    tracker.start(frame((at(80, 100), RED)), at(80, 100))
    twice = frame((at(160, 200, 80, 60), RED), size_hw=(480, 640))
    for _ in range(3):
        (track,) = tracker(twice)
    assert track.box_xyxy == pytest.approx(np.array(at(160, 200, 80, 60)), abs=8)
    assert track.state == "tracking"


@pytest.mark.parametrize("side", [3, 230])
def test_tiny_and_huge_targets_are_followed(side: int) -> None:
    tracker, _ = blob_tracker.session(features=False)
    box = at(120, 120, side, side)
    tracker.start(frame((box, RED)), box)
    for n in range(5):
        (track,) = tracker(frame((at(120 + n, 120, side, side), RED)))
    assert track.state == "tracking"
    # A box keeps ten pixels of the picture, as published trackers' do.
    assert track.box_xyxy[2] - track.box_xyxy[0] == pytest.approx(max(10, side), rel=0.15)


def test_the_filter_holds_the_place_where_the_net_is_in_doubt() -> None:
    tracker, _ = blob_tracker.session()
    for n, box in enumerate(walk(20)):
        shown = frame((box, RED))
        if n == 0:
            tracker.start(shown, box)
        else:
            (track,) = tracker(shown)
            assert track.box_xyxy == pytest.approx(np.array(box), abs=7)


def test_without_a_score_the_corner_maps_are_asked() -> None:
    tracker, _ = blob_tracker.session(features=False, score=False)
    tracker.start(frame((at(80, 100), RED)), at(80, 100))
    (track,) = tracker(frame((at(80, 100), RED)))
    assert track.score == pytest.approx(4 / 144, abs=0.04)  # the maps of this net are flat
    assert track.state == "uncertain"


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((10, 10, 10, 40), "holds nothing to follow"),
        ((50, 40, 20, 10), "holds nothing to follow"),
        ((float("nan"), 0, 20, 20), "four finite numbers"),
        ((0, 0, float("inf"), 20), "four finite numbers"),
        ((400, 10, 440, 40), "outside the picture of 320 x 240"),
        ((-50, 10, -10, 40), "outside the picture"),
        ((1, 2, 3), r"four finite numbers left, top, right, bottom, .*not \(1, 2, 3\)"),
    ],
)
def test_a_box_that_cannot_be_is_refused_and_nothing_is_started(box: tuple[float, ...], words: str) -> None:
    tracker, _ = blob_tracker.session()
    with pytest.raises(InputError, match=words):
        tracker.start(frame(), box)
    assert tracker.ids == ()


def test_grey_frames_are_followed_too() -> None:
    tracker, _ = blob_tracker.session(features=False)

    def grey(box: Box) -> Frame:
        return Frame(picture((box, (255, 255, 255)))[..., 0].copy(), "gray", 0)

    tracker.start(grey(at(80, 100)), at(80, 100))
    (track,) = tracker(grey(at(90, 104)))
    assert track.box_xyxy == pytest.approx(np.array(at(90, 104)), abs=4)


def test_a_stream_starts_with_its_box() -> None:
    tracker, _ = blob_tracker.session()
    boxes = list(walk(5))
    answers = list(tracker.stream([picture((box, RED)) for box in boxes], box_xyxy=boxes[0], color="rgb"))
    assert len(answers) == 5
    assert answers[-1][0].box_xyxy == pytest.approx(np.array(boxes[-1]), abs=6)
    fresh, _ = blob_tracker.session()
    with pytest.raises(UsageError, match="nothing to follow"):
        next(fresh.stream([picture()], color="rgb"))


def test_a_closed_session_says_so_and_has_closed_its_engines() -> None:
    tracker, search = blob_tracker.session()
    with tracker:
        tracker.warmup(1)
        assert tracker.ids == ()
    assert search.closed
    with pytest.raises(EngineError, match="was closed"):
        tracker(frame())
    with pytest.raises(EngineError, match="was closed"):
        tracker.start(frame(), at(80, 100))


def test_an_answer_that_is_not_finite_is_no_result() -> None:
    tracker, search = blob_tracker.session()
    tracker.start(frame((at(80, 100), RED)), at(80, 100))
    sound = search.run
    search.run = lambda inputs: {**sound(inputs), "box": np.full((1, 4), np.nan, np.float32)}  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="NaN or infinity in 'box'"):
        tracker(frame((at(80, 100), RED)))
