"""Which model answers: by measured age, with hysteresis, on a clock that is turned by hand; then on threads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import onnx_files
import pytest
import red_box
import tiny_bundles
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import Kept, Paced, Waits

from edgevit.errors import UsageError
from edgevit.runtime import Session, load
from edgevit.runtime.deadline import Deadline
from edgevit.runtime.ladder import Ladder, Switch
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.steering import Steered
from edgevit.spec import TensorSpec

pytestmark = pytest.mark.timeout(60)

A = 0.003


class Camera:
    """Be a camera and models that take their time, on one clock: the newest frame is answered, over and over."""

    def __init__(self, costs_ms: list[Callable[[float], float]], *, limit_ms: float = 80, came_ms: float = 1) -> None:
        self.now_s = 100.0
        self.switches: list[Switch] = []
        self.answers: Counter[int] = Counter()
        self._costs_ms, self._came_ms, self._period_s = costs_ms, came_ms, 1 / 30
        names = [f"m{n}" for n in range(len(costs_ms))]
        self.ladder = Ladder(
            names, limit_ms, lambda switch, rung: self.switches.append(switch), clock=lambda: self.now_s
        )

    def run(self, seconds: float) -> Camera:
        ends_s = self.now_s + seconds
        while self.now_s < ends_s:
            captured_s = self.now_s // self._period_s * self._period_s
            rung = self.ladder.look()
            self.now_s = max(self.now_s + self._costs_ms[rung](self.now_s - 100) / 1e3, captured_s + self._period_s)
            age_ms = self._came_ms + (self.now_s - captured_s) * 1e3
            self.ladder.answered(age_ms, self._came_ms, rung)
            self.answers[rung] += 1
        return self

    @property
    def path(self) -> list[str]:
        return [switch.new for switch in self.switches]


def test_a_model_that_is_in_time_is_never_left() -> None:
    assert Camera([lambda s: 40, lambda s: 10]).run(600).switches == []


def test_one_late_answer_is_nothing() -> None:
    assert Camera([lambda s: 500 if 10 < s < 10.4 else 40, lambda s: 10]).run(60).switches == []


def test_the_first_that_is_in_time_is_chosen_at_once() -> None:
    camera = Camera([lambda s: 300, lambda s: 150, lambda s: 30]).run(5)
    assert camera.path == ["m1", "m2"]
    assert camera.switches[1].at_s < 3
    assert "the limit is 80 ms" in camera.switches[0].why


def test_when_the_machine_has_air_again_the_better_one_answers_again() -> None:
    """A hot minute: everything takes three times as long, then it cools down."""

    def hot(ms: float) -> Callable[[float], float]:
        return lambda s: 3 * ms if 10 < s < 70 else ms

    camera = Camera([hot(40), hot(10)]).run(120)
    assert camera.path == ["m1", "m0"]
    assert 10 < camera.switches[0].at_s < 12
    assert 70 < camera.switches[1].at_s < 80


def test_it_does_not_swing_to_and_fro() -> None:
    """The better model is always too slow. It is tried again, but ever less often."""
    camera = Camera([lambda s: 120, lambda s: 20]).run(3600)
    assert camera.ladder.rung == 1
    assert camera.path[0] == "m1"
    tried_s = [switch.at_s for switch in camera.switches if switch.new == "m0"]
    assert 5 <= len(tried_s) <= 20
    gaps = np.diff(tried_s)
    assert all(gaps[1:] >= gaps[:-1] * 0.99)
    assert camera.answers[0] / sum(camera.answers.values()) < 0.01


def test_no_model_is_blamed_for_what_comes_too_late() -> None:
    assert Camera([lambda s: 40, lambda s: 10], came_ms=500).run(60).switches == []


def test_there_is_nothing_below_the_last() -> None:
    camera = Camera([lambda s: 200, lambda s: 150]).run(60)
    assert camera.path == ["m1"]
    assert camera.ladder.last


@given(st.lists(st.floats(1, 400), min_size=2, max_size=40), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_whatever_happens_it_moves_by_one_and_logs_each_move(loads: list[float], models: int) -> None:
    costs = [lambda s, n=n: loads[int(s) % len(loads)] / (n + 1) for n in range(models)]
    camera = Camera(costs).run(2 * len(loads))  # type: ignore[arg-type]
    rung = 0
    for switch in camera.switches:
        assert switch.old == f"m{rung}"
        assert abs(int(switch.new[1:]) - rung) == 1
        rung = int(switch.new[1:])
    assert rung == camera.ladder.rung
    times = [switch.at_s for switch in camera.switches]
    assert times == sorted(times)


def test_a_frame_is_not_called_hopeless_while_there_is_a_faster_model() -> None:
    told: list[str] = []
    ladder = Ladder(["slow", "fast"], 80, lambda switch, rung: None)
    deadline = Deadline(80, told.append, ladder)
    assert deadline.allows(10, 100)
    assert told == []
    ladder.rung = 1
    assert deadline.allows(10, 100)
    assert "cannot be kept" in told[0]


# ---- on threads


def test_a_faster_model_takes_over_and_everybody_is_told() -> None:
    slow, fast, sink, events = Waits(40 * A), Waits(A / 3), Kept(), []  # type: ignore[var-annotated]
    plan = Plan(max_latency_ms=20 * A * 1e3)
    source = Paced(400, every_s=A)
    pipeline = Pipeline(slow, source, [sink], plan=plan, fallbacks=[fast], on_event=events.append)
    report = pipeline.run()
    assert [(s.old, s.new) for s in report.switches] == [("model 0", "model 1")]
    assert dict(report.models) == {"model 0": len(slow.seen[0]), "model 1": len(fast.seen[0])}
    assert len(fast.seen[0]) > len(slow.seen[0])
    assert any("model 1 answers instead of model 0" in event for event in events)
    data = report.to_dict()
    assert data["models"] == dict(report.models)
    assert data["switches"][0]["new"] == "model 1"
    assert data["events"] == events
    assert sink.indices == sorted(set(sink.indices))
    assert report.sources[0].disordered == 0


def test_what_cannot_stand_in_is_refused() -> None:
    with pytest.raises(UsageError, match="its stages are stage 0, not stage 0, stage 1"):
        Pipeline(Waits(0, 0), Paced(1), plan=Plan(max_latency_ms=9), fallbacks=[Waits(0)])
    model, other = Waits(0), Waits(0)
    for fallbacks in ([model], [other, other]):
        with pytest.raises(UsageError, match="cannot stand in for itself"):
            Pipeline(model, Paced(1), plan=Plan(max_latency_ms=9), fallbacks=fallbacks)
    with pytest.raises(UsageError, match="there is none"):
        Pipeline(Waits(0), Paced(1), fallbacks=[Waits(0)])


def any_size(folder: Path) -> Session:
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    told = tiny_bundles.manifest()
    graph = replace(told.graphs["main"], inputs=(TensorSpec("image", (1, 3, -1, -1)),))
    image = replace(told.spec.image, size_hw=(128, 192), resize_hw=(128, 192))
    changes: dict[str, Any] = {"graphs": {"main": graph}, "spec": replace(told.spec, image=image)}
    return load(tiny_bundles.write(folder / "tiny", content=content, **changes), task="classify", engine="null")


def test_a_bundle_of_any_size_is_shown_smaller_pictures_before_anything_else(tmp_path: Path) -> None:
    with any_size(tmp_path) as session:
        assert [small.name for small in session.smaller()] == [
            *("tiny-onnx-fp32 at 96x128", "tiny-onnx-fp32 at 64x96"),
        ]
        plain, shapes = session.infer, []

        def infer(self: Session, batch: Any) -> Any:
            shapes.append(batch.shape[2:])
            time.sleep(A * 40 * batch.shape[2] * batch.shape[3] / (128 * 192))
            return plain(batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "infer", infer)
            report = session.run(Paced(300, every_s=A), plan=Plan(max_latency_ms=20 * A * 1e3))
        assert shapes[0] == (128, 192)
        assert shapes[-1] == (64, 96)
        assert [switch.new for switch in report.switches][:1] == ["tiny-onnx-fp32 at 96x128"]
        assert len(report.models) == 3


def test_a_bundle_of_one_size_has_no_smaller_form(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify", engine="null") as session:
        assert session.smaller() == ()


# ---- trackers


def test_a_swap_of_trackers_keeps_the_targets_and_their_ids() -> None:
    best, best_search = blob_tracker.session()
    quick, quick_search = blob_tracker.session()
    frames = red_box.frames(12)
    best.start(frames[0], (40, 40, 64, 60), id=5)
    best.lane(1).start(frames[0], (40, 40, 64, 60), id=9)
    for frame in frames[1:4]:
        best(frame)
    quick.take_over(best, 0)
    looks = best_search.looks
    for n in (4, 5, 6):
        (track,) = quick(frames[n])
        assert (track.id, track.state) == (5, "tracking")
        assert track.box_xywh == pytest.approx(red_box.box_xywh(n), abs=4)
    assert best_search.looks == looks
    assert quick_search.looks >= 3
    target = best._targets[5]
    best.take_over(quick, 0)
    assert best._targets[5] is target, "what it learnt at first is not learnt anew from a box that was found"
    (track,) = best(frames[7])
    assert track.box_xywh == pytest.approx(red_box.box_xywh(7), abs=4)
    assert best.lane(1).ids == (9,)


def test_a_target_that_is_lost_is_handed_over_as_it_was_last_seen() -> None:
    best, _ = blob_tracker.session()
    quick, _ = blob_tracker.session()
    frames = red_box.frames(4)
    best.start(frames[0], (40, 40, 64, 60))
    empty = replace(frames[0], data=red_box.picture(0, shown=False))
    for _ in range(8):
        (track,) = best(empty)
    assert track.state == "lost"
    quick.take_over(best, 0)
    (track,) = quick(frames[2])
    assert track.state == "tracking"
    assert track.box_xywh == pytest.approx(red_box.box_xywh(2), abs=5)


def test_what_was_stopped_or_started_meanwhile_is_so_after_the_swap() -> None:
    best, _ = blob_tracker.session()
    quick, _ = blob_tracker.session()
    (first, *_) = red_box.frames(1)
    best.start(first, (40, 40, 64, 60), id=1)
    quick.take_over(best, 0)
    best.stop(1)  # whoever holds the first session goes on talking to it
    best.start(first, (40, 40, 64, 60), id=2)
    best.start_next((42, 40, 66, 60))
    assert best.ids == quick.ids == (2,)
    assert best._targets.keys() == {1}
    best.take_over(quick, 0)
    assert best.ids == (2,)
    assert [track.id for track in best(first)] == [2, 3]


@pytest.mark.parametrize("order", ["start", "start_next", "stop"])
def test_an_order_that_comes_in_the_middle_of_a_swap_is_not_lost(order: str) -> None:
    best, _ = blob_tracker.session()
    quick, _ = blob_tracker.session()
    (first, second) = red_box.frames(2)
    best.start(first, (40, 40, 64, 60), id=1)

    class Overtaken:
        """Be the turn of the first session, for which whoever wants it waits until the second has taken over."""

        def __init__(self) -> None:
            self._turn, self._swapped = threading.Lock(), False

        def __enter__(self) -> None:
            if not self._swapped:
                self._swapped = True
                quick.take_over(best, 0)
            self._turn.acquire()

        def __exit__(self, *_: object) -> None:
            self._turn.release()

    best._turn = Overtaken()  # type: ignore[assignment]
    if order == "start":
        assert best.start(first, (42, 42, 66, 62)).id == 2
    elif order == "start_next":
        best.start_next((42, 42, 66, 62))
    else:
        best.stop(1)
    expected = [] if order == "stop" else [1, 2]
    assert [track.id for track in quick(second)] == expected
    best.take_over(quick, 0)
    assert list(best.ids) == expected


def test_a_run_swaps_trackers_by_itself() -> None:
    best, search = blob_tracker.session()
    quick, _ = blob_tracker.session()
    sound = search.run

    def slow(inputs: Any) -> Any:
        time.sleep(40 * A)
        return sound(inputs)

    search.run = slow  # type: ignore[method-assign]

    class Film(Paced):
        def __iter__(self) -> Any:
            for frame in super().__iter__():
                yield replace(frame, data=red_box.picture(frame.index % 8))

    seen: list[Any] = []
    pipeline = Pipeline(
        best.starting((40, 40, 64, 60)),
        Film(300, every_s=A),
        plan=Plan(max_latency_ms=20 * A * 1e3),
        fallbacks=[quick],
        on_result=seen.append,
    )
    report = pipeline.run()
    assert [(s.old, s.new) for s in report.switches][:1] == [("blob-onnx-fp32", "blob-onnx-fp32 (2)")]
    assert {track.id for tracks in seen for track in tracks} == {1}
    assert quick.ids == (1,)
    assert seen[-1][0].state == "tracking"


def test_who_steers_a_tracker_steers_the_one_that_stands_in() -> None:
    best, _ = blob_tracker.session()
    quick, _ = blob_tracker.session()
    (first, second) = red_box.frames(2)
    steered = Steered(best)
    steered.start(0, first, (40, 40, 64, 60))
    quick.take_over(steered, 0)
    assert steered.ids(0) == quick.ids == (1,)
    steered.start(0, first, (42, 42, 66, 62))
    assert [track.id for track in quick(second)] == [1, 2]
    steered.stop(0, 1)
    steered.take_over(quick, 0)
    assert best.ids == (2,)
    assert (steered.name, steered.stages()[0].name) == ("blob-onnx-fp32", "answer")
