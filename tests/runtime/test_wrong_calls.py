"""Calls that cannot be meant: one sentence that says what to type, and before anything is opened or begun."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import onnx_files
import pytest
import red_box
import tiny_bundles
from hypothesis import given
from hypothesis import strategies as st
from paced import Kept, Paced

from edgevit.errors import InputError, UnknownNameError, UsageError
from edgevit.runtime import Session, TrackSession, load
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink

pytestmark = pytest.mark.timeout(60)

PICTURE = np.zeros((8, 8, 3), np.uint8)
FRAME = Frame(PICTURE, "rgb", 0)
NAN = float("nan")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify", engine="null") as opened:
        yield opened


@pytest.fixture
def tracker() -> Iterator[TrackSession]:
    with blob_tracker.session()[0] as opened:
        yield opened


NO_SOURCES: list[tuple[Any, str | None, str]] = [
    (None, None, r"folder.*camera.*NoneType.*session.stream\("),
    (1.5, None, "float"),
    (True, None, "bool"),
    (b"clip.mp4", None, "bytes"),
    (-1, None, r"number is 0 or more, not -1"),
    (FRAME, None, r"Type: session\(frame\)"),
    (PICTURE, "rgb", r"one picture.*session\(array, color='rgb'\)"),
    (PICTURE[..., 0], "gray", r"one picture.*color='gray'"),
    (["a.jpg", "b.jpg"], None, r"list of names.*session.stream\('a.jpg'\)"),
    ((Path("a.jpg"),), None, r"session.stream\('a.jpg'\)"),
]


@pytest.mark.parametrize(("source", "color", "words"), NO_SOURCES)
def test_what_is_no_source_is_refused_when_the_stream_is_asked_for(
    source: Any, color: str | None, words: str, session: Session, tracker: TrackSession
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: session.stream(source, color=color),
        lambda: session.stream_async(source, color=color),
        lambda: session.run(source, print, color=color),
        lambda: tracker.stream(source, (1, 1, 5, 5), color=color),
        lambda: tracker.stream_async(source, (1, 1, 5, 5), color=color),
        lambda: tracker.run(source, print, box_xyxy=(1, 1, 5, 5), color=color),
    ]
    for call in calls:
        with pytest.raises(InputError, match=words):
            call()


def test_what_is_a_source_is_taken(session: Session, tmp_path: Path) -> None:
    class Place(os.PathLike[str]):
        def __fspath__(self) -> str:
            return "synthetic://shapes?count=2"

    def indices(source: Any, **more: Any) -> list[int]:
        return [result.frame.index for result in session.stream(source, **more)]

    assert len(indices([])) == 0
    assert len(indices(np.stack([PICTURE] * 2), color="rgb")) == 2
    assert len(indices(np.stack([PICTURE[..., 0]] * 2), color="gray")) == 2
    assert len(indices([PICTURE], color="bgr")) == 1
    assert indices(Place()) == [0, 1]


@pytest.mark.parametrize("policy", ["neu", "Newest", 3])
def test_a_policy_that_is_none_is_refused_when_the_stream_is_asked_for(policy: Any, session: Session) -> None:
    with pytest.raises(UsageError, match=r"'newest' or 'every'"):
        session.stream("no.mp4", policy=policy)
    with pytest.raises(UsageError, match=r"'newest' or 'every'"):
        session.stream_async("no.mp4", policy=policy)


@pytest.mark.parametrize("plan", ["newest", 80, {"limit": 3}])
def test_a_plan_that_is_none_is_told_what_to_type(plan: Any, session: Session) -> None:
    with pytest.raises(UsageError, match=r"expected a Plan.*Type: plan=Plan\("):
        session.run("no.mp4", print, plan=plan)
    with pytest.raises(UsageError, match=r"expected a Plan"):
        session.stream_async("no.mp4", plan=plan)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"on_result": "print"}, r"on_result.*'print'.*cannot be called"),
        ({"on_event": 5}, r"on_event.*5.*cannot be called"),
        ({"sinks": "told.jsonl"}, r"Type: sinks=\[open_sink\("),
        ({"sinks": Kept()}, r"Type: sinks=\[open_sink\("),
        ({"sinks": None}, r"Type: sinks=\[open_sink\("),
        ({"seconds": -1}, r"seconds must be a number above 0, not -1"),
        ({"seconds": NAN}, r"seconds must be a number above 0"),
        ({"seconds": "10s"}, r"seconds must be a number above 0, not '10s'"),
    ],
)
def test_a_run_is_not_begun_with_what_it_cannot_use(choices: dict[str, Any], words: str, session: Session) -> None:
    source = Paced(3, live=False)
    with pytest.raises(UsageError, match=words):
        session.run(source, **choices)
    assert not source.closed.is_set()


@pytest.mark.parametrize("name", ["max_latency_ms", "max_fps", "stall_s", "limit", "batch"])
@pytest.mark.parametrize("value", ["80ms", True, -1, 0, NAN, [3]])
def test_a_plan_takes_numbers(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"{name} must be .* Type: Plan\({name}="):
        Plan(**{name: value})


@given(limit=st.integers(1, 10**6), fps=st.floats(0.001, 1e6), latency=st.integers(1, 10**6))
def test_a_plan_takes_numbers_of_numpy_too(limit: int, fps: float, latency: int) -> None:
    plan = Plan(limit=np.int64(limit), max_fps=np.float32(fps), max_latency_ms=np.int32(latency))
    assert plan.limit == limit


# ---- trackers


@pytest.mark.parametrize("number", [-1, 1.5, "1", None, True])
def test_a_lane_is_the_number_of_a_source(number: Any, tracker: TrackSession) -> None:
    with pytest.raises(UsageError, match=r"number of a source, 0 or more.*tracker.lane\(1\)"):
        tracker.lane(number)
    assert tracker.lane(np.int64(1)) is tracker.lane(1)


BAD_BOXES: list[Any] = [
    *((NAN, 1, 2, 3), (1, 1, float("inf"), 9), (30, 30, 10, 10), (1, 1, 1, 9), (1, 2, 3), (1, 2, 3, 4, 5)),
    *(None, 5, "1,2,3,4", ("a", "b", "c", "d"), np.zeros((1, 4)), [None] * 4),
]


@pytest.mark.parametrize("box", BAD_BOXES)
def test_a_box_that_cannot_be_is_refused_when_it_is_named(box: Any, tracker: TrackSession) -> None:
    source = Paced(3, live=False)
    calls: list[Callable[[], object]] = [
        lambda: tracker.start(FRAME, box),
        lambda: tracker.start_next(box),
        lambda: tracker.starting((1, 1, 5, 5), box),
    ]
    if box is not None:  # which is no box at all there
        calls += [
            lambda: tracker.stream(source, box),
            lambda: tracker.stream_async(source, box),
            lambda: tracker.run(source, print, box_xyxy=box),
        ]
    for call in calls:
        with pytest.raises(InputError, match=r"(?i)box"):
            call()
    assert tracker.ids == ()
    with pytest.raises(UsageError, match="nothing to follow"):
        next(tracker.stream(source))


def test_a_box_that_seems_to_be_of_another_order_is_told_so(tracker: TrackSession) -> None:
    with pytest.raises(
        InputError,
        match=r"holds nothing to follow.*left, top, right, bottom; if x, y, width, height.*\(40, 45, 64, 65\)",
    ):
        tracker.start(red_box.frames(1)[0], (40, 45, 24, 20))


def test_corners_without_their_brackets_are_told_so(tracker: TrackSession) -> None:
    with pytest.raises(InputError, match=r"left, top, right, bottom"):
        tracker.starting(20, 20, 60, 60)  # type: ignore[arg-type]


@pytest.mark.parametrize("point", [None, 5, (1, 2, 3), ("a", 1), "1,2", (NAN, 1)])
def test_a_point_that_cannot_be_gets_one_sentence(point: Any, tracker: TrackSession) -> None:
    with pytest.raises(InputError, match=r"point"):
        tracker.start_at(FRAME, point)
    assert tracker.ids == ()


def test_a_tracker_runs_with_a_box_and_not_without_a_target(tracker: TrackSession) -> None:
    seen: list[Any] = []
    with pytest.raises(UsageError, match=r"nothing to follow.*box_xyxy"):
        tracker.run(red_box.frames(3), seen.append)
    report = tracker.run(red_box.frames(5), seen.append, box_xyxy=(40, 40, 64, 60), plan=Plan(limit=4))
    assert [track.state for (track,) in seen] == ["tracking"] * 4
    assert report.answered == 4


# ---- models that are no sessions


@pytest.mark.parametrize("output", ["rows.csv", "lines.jsonl", "pictures/", "one.png"])
@pytest.mark.parametrize("answer", [None, {"top": 1}, "disc"])
def test_a_function_whose_answers_cannot_be_written_is_told_so(output: str, answer: Any, tmp_path: Path) -> None:
    pipeline = Pipeline(lambda frame: answer, Paced(3, live=False), [open_sink(str(tmp_path / output))])
    kind = "None" if answer is None else type(answer).__name__
    with pytest.raises(UsageError, match=rf"answered with {kind}, .*{output.strip('/')} needs.*to_dict.*on_result"):
        pipeline.run()


def test_what_a_function_answers_is_its_own_affair_without_an_output() -> None:
    seen: list[Any] = []
    Pipeline(lambda frame: None, Paced(3, live=False), on_result=seen.append).run()
    assert seen == [None] * 3

    def told(result: Any) -> None:
        print(result.top1)

    pipeline = Pipeline(lambda frame: None, Paced(3, live=False), on_result=told)
    with pytest.raises(AttributeError, match="top1"):  # the function's own mistake, in its own words
        pipeline.run()


def test_a_fault_of_a_sink_is_not_called_the_model_s() -> None:
    class Broken(Kept):
        def write(self, frame: Frame, result: Any) -> None:
            self.nothing_of_the_kind  # type: ignore[attr-defined]  # noqa: B018

    async def main() -> None:
        content = (result async for result in blob.stream_async(red_box.frames(3), (40, 40, 64, 60)))
        assert len([result async for result in content]) == 3

    with blob_tracker.session()[0] as blob:
        with pytest.raises(AttributeError, match="nothing_of_the_kind"):
            blob.run(red_box.frames(3), box_xyxy=(40, 40, 64, 60), sinks=[Broken()])
        asyncio.run(main())


def test_what_is_no_model_is_refused() -> None:
    for wrong in (None, "shvit_shapes"):
        with pytest.raises(UsageError, match=r"edgevit.load"):
            Pipeline(wrong, Paced(3))  # type: ignore[arg-type]


# ---- opening


def test_a_bundle_of_another_task_is_answered_with_one_that_fits(session: Session) -> None:
    with pytest.raises(UsageError, match=r"made to classify, and a bundle made to track.*hit_nano.*edgevit predict"):
        load(session.bundle, task="track", engine="null")


def test_a_task_that_nobody_knows_is_answered_with_the_nearest(session: Session) -> None:
    with pytest.raises(UnknownNameError, match=r"'trak'.*mean track"):
        load(session.bundle, task="trak")  # type: ignore[call-overload]


def test_a_name_that_is_nearly_a_model_s_is_answered_with_it() -> None:
    with pytest.raises(UsageError, match=r"hit_nano"):
        load("hit_nan")
    with pytest.raises(UsageError, match=r"path is empty"):
        load("")


def test_a_path_in_place_of_a_picture_is_told_what_to_type(session: Session) -> None:
    with pytest.raises(InputError, match=r"session.stream\('a.jpg'\)"):
        session("a.jpg")
