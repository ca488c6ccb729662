"""Runs on threads: what each policy promises, what a fault of any thread does, and that it can be stopped at any time.

Nothing is said about time, but that a run ends: order, counts, and who was closed.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
import tiny_bundles
from blob_tracker import session as blob_session
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import PIXELS, Kept, Paced, Waits

from edgevit.errors import EdgevitError, InputError, UsageError
from edgevit.runtime import Classification, Frame, load
from edgevit.runtime.ages import Ages
from edgevit.runtime.ledger import Ledger, SourceCount
from edgevit.runtime.ledger_report import SOURCE_HEADS, STAGE_HEADS
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import freshest
from edgevit.runtime.sources.freshest import Freshest

pytestmark = pytest.mark.timeout(60)

A = 0.003


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgevit")]


@pytest.fixture(autouse=True)
def nobody_is_left() -> Any:
    yield
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


def endless() -> Generator[Frame, None, None]:
    for index in itertools.count():
        time.sleep(A)
        yield Frame(PIXELS, "rgb", 0, index)


def test_a_name_is_not_opened_by_the_pipeline() -> None:
    with pytest.raises(UsageError, match=r"not 'clip.mp4'. Type: open_source\('clip.mp4'\)"):
        Pipeline(lambda frame: frame.index, "clip.mp4")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not 'a.csv'. Type: open_sink\('a.csv'\)"):
        Pipeline(lambda frame: frame.index, endless(), ["a.csv"])  # type: ignore[list-item]


# ---- the policies


@given(
    st.lists(st.sampled_from([0.0, 0.0005]), min_size=1, max_size=4),
    st.integers(0, 12),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_every_answers_for_every_frame_in_order(waits: list[float], count: int, sinks: int, live: bool) -> None:
    model, kept = Waits(*waits), [Kept(f"sink {n}") for n in range(sinks)]
    source = Paced(count, live=live)
    report = Pipeline(model, source, kept, plan=Plan("every")).run()
    assert all(seen == list(range(count)) for seen in model.seen)
    assert all(sink.indices == list(range(count)) and sink.closed == 1 for sink in kept)
    (told,) = report.sources
    assert (told.captured, told.answered, told.dropped, told.late, told.disordered) == (count, count, 0, 0, 0)
    assert source.closed.is_set() or not report.stopped


def test_newest_skips_but_never_goes_back_and_counts_every_frame() -> None:
    model, sink, source = Waits(0, 4 * A, 0), Kept(), Paced(60, every_s=A)
    report = Pipeline(model, source, [sink]).run()
    (told,) = report.sources
    assert told.captured == 60
    assert told.answered + told.dropped == 60
    assert 1 < told.answered < 60
    assert told.disordered == 0
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 59, "the last frame has nobody to give way to"
    assert report.age is not None
    assert report.age.count == told.answered


def test_newest_of_a_source_that_waits_loses_nothing() -> None:
    sink = Kept()
    report = Pipeline(Waits(A, 0), Paced(20, live=False), [sink], plan=Plan("newest")).run()
    assert sink.indices == list(range(20))
    assert report.sources[0].dropped == 0


def test_stages_overlap() -> None:
    """A frame is in the second stage before the one after it has left the first."""
    inside: list[tuple[str, int]] = []

    class Model(Waits):
        def _step(self, number: int) -> Any:
            inner = super()._step(number)

            def step(job: Any) -> Any:
                inside.append((f"in {number}", job.frame.index))
                value = inner(job)
                inside.append((f"out {number}", job.frame.index))
                return value

            return step

    Pipeline(Model(5 * A, 5 * A), Paced(12, live=False)).run()
    overlaps = sum(inside.index(("in 0", n + 1)) < inside.index(("out 1", n)) for n in range(11))
    assert overlaps > 6


def test_several_sources_take_turns() -> None:
    """One that comes five times as fast does not keep the other from the engine."""
    fast, slow = Paced(10**6, every_s=A / 5, name="fast"), Paced(10**6, every_s=A, name="slow")
    report = Pipeline(Waits(4 * A), [fast, slow], [Kept()], plan=Plan(limit=20)).run()
    first, second = report.sources
    assert (first.name, second.name) == ("fast", "slow")
    assert first.answered + second.answered == 20
    assert min(first.answered, second.answered) >= 8
    assert first.disordered == second.disordered == 0


def test_a_limit_ends_after_so_many_answers() -> None:
    source, sink = Paced(10_000, every_s=A / 3), Kept()
    report = Pipeline(Waits(0, 0), source, [sink], plan=Plan(limit=7)).run()
    assert report.answered == len(sink.indices) == 7
    assert source.closed.is_set()
    assert report.stopped == "the limit is reached"


def test_some_seconds_end_it_too() -> None:
    ticks: list[float] = []
    report = Pipeline(Waits(0), Paced(100_000, every_s=A)).run(ticks.append, seconds=0.3)
    assert report.stopped == "the 0.3 s are over"
    assert ticks == sorted(ticks)
    assert ticks


def test_a_rate_limit_answers_fewer_and_of_a_file_all() -> None:
    live = Pipeline(Waits(0), Paced(100, every_s=A), plan=Plan(max_fps=50)).run()
    assert live.answered <= live.seconds * 50 + 2
    waiting = Pipeline(Waits(0), Paced(8, live=False), plan=Plan(max_fps=100)).run()
    assert waiting.answered == 8
    assert waiting.seconds > 7 / 100, "seven gaps of a hundredth of a second"


def test_a_pause_holds_frames_back_until_it_ends() -> None:
    pipeline = Pipeline(Waits(0), Paced(100_000, every_s=A))
    seen = []
    for result in pipeline.results():
        seen.append(result.frame.index)
        if len(seen) == 3:
            pipeline.pause()
            time.sleep(30 * A)
            before = pipeline.report().answered
            time.sleep(30 * A)
            assert pipeline.report().answered == before
            pipeline.resume()
        if len(seen) == 10:
            break
    assert seen == sorted(set(seen))
    assert pipeline.report().sources[0].dropped > 10


def test_a_deadline_skips_what_is_old_and_logs_each_switch() -> None:
    class Backlog(Paced):
        """The middle third of the frames was captured half a second ago."""

        def __iter__(self) -> Any:
            for frame in super().__iter__():
                old = 500_000_000 if 30 <= frame.index < 60 else 0
                yield Frame(PIXELS, "rgb", frame.captured_ns - old, frame.index)

    events: list[str] = []
    sink = Kept()
    plan = Plan("every", max_latency_ms=300)
    report = Pipeline(Waits(0), Backlog(90, every_s=A), [sink], plan=plan, on_event=events.append).run()
    assert report.sources[0].late >= 25
    assert report.sources[0].answered + report.sources[0].late == 90
    assert sink.indices[-1] == 89
    assert "late frames are skipped" in events[0]
    assert list(report.events) == events


def test_a_deadline_that_cannot_be_kept_is_told_and_starves_nobody() -> None:
    report = Pipeline(Waits(10 * A), Paced(30, every_s=A), plan=Plan(max_latency_ms=A * 1e3)).run()
    assert report.answered >= 2
    assert ["cannot be kept" in event for event in report.events] == [True]


# ---- faults


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_stage_s_fault_reaches_the_caller_and_the_rest_is_kept(stage: int, live: bool) -> None:
    fault, sink = InputError("this frame is bad"), Kept()
    source = Paced(50, live=live, every_s=A / 3 if live else 0)
    pipeline = Pipeline(Waits(0, 0, 0, fault=(stage, 5, fault)), source, [sink], plan=Plan("every"))
    with pytest.raises(InputError) as caught:
        pipeline.run()
    assert caught.value is fault
    assert sink.indices == list(range(len(sink.indices)))
    assert len(sink.indices) == 5 if stage == 2 else len(sink.indices) <= 5
    assert sink.closed == 1
    assert source.closed.is_set()


def test_a_source_s_fault_reaches_the_caller() -> None:
    source, sink = Paced(5, live=False), Kept()
    source.raises = InputError("the cable is out")
    with pytest.raises(InputError, match="the cable is out"):
        Pipeline(Waits(0, 0), source, [sink]).run()
    assert sink.closed == 1


@pytest.mark.parametrize("at", ["write", "close"])
def test_a_sink_s_fault_reaches_the_caller_and_the_others_are_whole(at: str) -> None:
    good, bad = Kept("good"), Kept("bad")
    if at == "write":
        bad.raises = (3, OSError(28, "No space left on device"))
    else:
        bad.close = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        Pipeline(Waits(0), Paced(20, live=False), [bad, good]).run()
    assert good.indices == list(range(len(good.indices)))
    assert good.closed == 1
    if at == "write":
        assert bad.indices == [0, 1, 2]
        assert bad.closed == 1
        assert len(good.indices) >= 3


def test_a_sink_that_blocks_is_named_and_the_others_are_closed() -> None:
    good, bad = Kept("good"), Kept("bad")
    bad.blocks_at = 2
    with pytest.raises(EdgevitError, match=r"The output bad has been at one frame for 0\.2 s"):
        Pipeline(Waits(0), Paced(50, live=False), [bad, good], plan=Plan(stall_s=0.2)).run()
    bad.let_go.set()
    assert good.closed == 1
    assert good.indices == list(range(len(good.indices)))


def test_a_sink_that_blocks_holds_up_nobody_where_the_newest_wins() -> None:
    good, bad = Kept("good"), Kept("bad")
    bad.blocks_at = 2
    pipeline = Pipeline(Waits(0), Paced(60, every_s=A), [bad, good])
    threading.Timer(0.5, bad.let_go.set).start()
    report = pipeline.run()
    missed = {stage.name: stage.missed for stage in report.stages}
    assert missed["bad"] > 0
    assert len(good.indices) == report.answered
    assert len(bad.indices) == report.answered - missed["bad"]


def test_a_reader_who_goes_away_is_no_fault() -> None:
    sink = Kept()
    sink.raises = (4, BrokenPipeError())
    report = Pipeline(Waits(0), Paced(20, live=False), [sink]).run()
    assert report.stopped == "the reader of the output went away"


# ---- the end


@pytest.mark.parametrize("policy", ["newest", "every"])
@pytest.mark.parametrize("after", [0, 1, 17])
def test_it_can_be_stopped_at_any_time_by_anybody(policy: str, after: int) -> None:
    source, sink = Paced(100_000, every_s=A / 5), Kept()
    pipeline = Pipeline(Waits(A, A), source, [sink], plan=Plan(policy))
    threading.Timer(after * A, pipeline.stop).start()
    try:
        report = pipeline.run()
    except UsageError:  # it was stopped before it began
        assert after == 0
        return
    assert report.stopped == "stopped"
    assert report.answered == len(sink.indices)
    assert sink.closed == 1


def test_ctrl_c_ends_in_order() -> None:
    sink = Kept()
    pipeline = Pipeline(Waits(A), Paced(100_000, every_s=A), [sink])

    def press() -> None:
        sink.began.wait(20)
        _thread.interrupt_main()

    threading.Thread(target=press).start()
    report = pipeline.run()
    assert report.stopped == "interrupted"
    assert report.answered == len(sink.indices) > 0
    assert sink.closed == 1


def test_a_source_that_hangs_does_not_hold_up_the_end() -> None:
    source, sink = Paced(3), Kept()
    source.blocks = threading.Event()
    pipeline = Pipeline(Waits(0), source, [sink])
    report = pipeline.run(seconds=0.2)
    assert sink.closed == 1
    assert report.answered == len(sink.indices)
    source.blocks.set()


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_a_generator_that_is_in_the_middle_of_a_frame_can_be_stopped(policy: str) -> None:
    """Python refuses to close a generator that runs at this moment, as one that waits for its camera mostly does."""
    gate, left = threading.Event(), threading.Event()

    def camera() -> Iterator[Frame]:
        try:
            for index in itertools.count():
                yield Frame(PIXELS, "rgb", index, index)
                if index == 2:
                    gate.wait(60)
        finally:
            left.set()

    pictures = camera()
    report = Pipeline(Waits(0), pictures, plan=Plan(policy, limit=3)).run()
    assert (report.answered, report.stopped) == (3, "the limit is reached")
    gate.set()
    del pictures
    assert left.wait(10)


class Touchy(Paced):
    """Raise where it is closed, or where it is read after that."""

    def __init__(self, count: int, *, at: str) -> None:
        super().__init__(count, every_s=A)
        self._at = at

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        if self._at == "read" and self.closed.is_set():
            raise ValueError("I/O operation on closed file")

    def close(self) -> None:
        super().close()
        if self._at == "close":
            raise OSError("the device is gone")


def test_what_a_source_says_that_was_stopped_under_its_reader_is_no_fault() -> None:
    source, sink = Touchy(100_000, at="read"), Kept()
    report = Pipeline(Waits(0), source, [sink]).run(seconds=0.1)
    assert report.stopped == "the 0.1 s are over"
    assert report.answered == len(sink.indices) > 0


def test_a_source_that_cannot_be_closed_keeps_no_other_open() -> None:
    sources = [Touchy(100_000, at="close"), Paced(100_000, every_s=A), Touchy(100_000, at="close")]
    with pytest.raises(OSError, match="the device is gone"):
        Pipeline(Waits(0), sources).run(seconds=0.1)
    assert all(source.closed.is_set() for source in sources)


def test_an_engine_that_hangs_is_left_behind_and_named() -> None:
    gate, sink = threading.Event(), Kept()

    def model(frame: Frame) -> Any:
        if frame.index == 2:
            gate.wait(60)
        return Waits(0).stages()[0].run(type("J", (), {"frame": frame})())

    with pytest.raises(EdgevitError, match="was left behind: answer"):
        Pipeline(model, Paced(100, live=False), [sink], plan=Plan(stall_s=0.2)).run(seconds=0.1)
    assert sink.indices == [0, 1]
    gate.set()


def test_an_engine_that_hangs_before_a_camera_ends_the_run_by_itself() -> None:
    gate, sink = threading.Event(), Kept()

    def model(frame: Frame) -> Any:
        if len(sink.indices) == 2:
            gate.wait(60)
        return Waits(0).stages()[0].run(type("J", (), {"frame": frame})())

    with pytest.raises(EdgevitError, match=r"The stage answer has been at one frame for 0.2 s"):
        Pipeline(model, Paced(100_000, every_s=A), [sink], plan=Plan("newest", stall_s=0.2)).run()
    assert len(sink.indices) == 2
    gate.set()


def test_leaving_the_loop_ends_the_run_and_a_second_one_is_refused() -> None:
    source = Paced(100_000, every_s=A)
    pipeline = Pipeline(Waits(0), source)
    assert len(list(itertools.islice(pipeline.results(), 3))) == 3
    with pytest.raises(UsageError, match="runs once"):
        pipeline.run()
    assert source.closed.wait(10)


@pytest.mark.parametrize("live", [True, False])
def test_a_loop_sees_the_answers_and_then_the_fault(live: bool) -> None:
    source = Paced(5, live=live, every_s=A if live else 0)
    source.raises = InputError("the cable is out")
    seen: list[int] = []
    with pytest.raises(InputError, match="the cable is out"):
        seen.extend(r.frame.index for r in Pipeline(Waits(0), source, plan=Plan("every")).results())
    assert seen == list(range(len(seen)))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"policy": "latest"}, "policy must be 'newest' or 'every', not 'latest'"),
        ({"max_fps": 0}, "max_fps must be a number above 0"),
        ({"max_latency_ms": float("nan")}, "max_latency_ms must be a number above 0"),
        ({"limit": 0}, "limit must be a whole number from 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Plan(**wrong)


# ---- the newest frame for a plain loop


def test_a_slow_loop_over_a_live_source_gets_the_newest_frames() -> None:
    source = Freshest(Paced(60, every_s=A))
    seen = []
    for frame in source:
        seen.append(frame.index)
        time.sleep(5 * A)
    assert seen == sorted(set(seen))
    assert seen[-1] == 59
    assert len(seen) + source.dropped == 60
    assert source.dropped > 10


def test_a_loop_over_the_newest_hears_of_the_fault_and_can_be_left() -> None:
    broken = Paced(3)
    broken.raises = InputError("the cable is out")
    with pytest.raises(InputError, match="the cable is out"):
        list(Freshest(broken))
    endless = Paced(100_000, every_s=A)
    assert len(list(itertools.islice(Freshest(endless), 3))) == 3
    assert endless.closed.wait(10)
    waiting = Paced(3, live=False)
    assert freshest(waiting) is waiting


# ---- the ledger


def test_the_ledger_says_how_old_frames_were_and_counts_fps_right() -> None:
    source = Paced(40, every_s=A)
    source.reconnects = 2
    report = Pipeline(Waits(0, A), source, [Kept("out")], plan=Plan("every")).run()
    assert [stage.name for stage in report.stages] == ["capture", "stage 0", "stage 1", "out"]
    ages = [stage.age.p50_ms for stage in report.stages if stage.age]
    assert ages == sorted(ages), "a frame only grows older"
    data = report.to_dict()
    assert data["sources"][0]["reconnects"] == 2
    assert data["stages"]["stage 1"]["spent"]["p50_ms"] >= A * 1e3 * 0.98
    assert data["answer"] == "stage 1"
    assert "40 answers" in report.line(0.0)
    assert all(len(row) == len(STAGE_HEADS) for row in report.stage_rows())
    assert all(len(row) == len(SOURCE_HEADS) for row in report.source_rows())


def test_fps_counts_the_gaps_between_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = itertools.count(10**12, 40_000_000)
    ledger = Ledger([SourceCount("a")], ["answer"])
    monkeypatch.setattr("edgevit.runtime.ledger.time.monotonic_ns", lambda: next(now_ns))
    assert ledger.report().sources[0].fps == 0
    for index in (0, 1, 3, 2, 7):
        ledger.answered(0, index)
    assert ledger.report().sources[0].fps == pytest.approx(25)
    assert ledger.report().sources[0].disordered == 1
    assert ledger.fps_now() == pytest.approx(25)


@given(st.lists(st.floats(0.02, 1e5), min_size=1, max_size=300), st.lists(st.floats(0.02, 1e5), max_size=50))
def test_percentiles_are_within_two_per_cent(times_ms: list[float], before: list[float]) -> None:
    ages = Ages()
    for time_ms in before:
        ages.add(time_ms)
    earlier = ages.copy()
    for time_ms in times_ms:
        ages.add(time_ms)
    told = ages.since(earlier).spread()
    assert told is not None
    assert told.count == len(times_ms)
    for percentile, got in ((50, told.p50_ms), (95, told.p95_ms), (99, told.p99_ms)):
        assert got == pytest.approx(np.percentile(times_ms, percentile, method="inverted_cdf"), rel=0.02)


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_that_jumps_changes_neither_ages_nor_a_recording(
    step_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's clock is set by an hour at every look: a film keeps the times of its source's own clock."""
    av: Any = pytest.importorskip("av")
    jumps = itertools.count(10**6, step_s)
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(time, "time_ns", lambda: next(jumps) * 10**9)
    film, source = tmp_path / "film.mp4", Paced(10, every_s=10 * A)
    captured_ns: list[int] = []
    with contextlib.closing(open_sink(film)) as sink:
        plan = Plan("every", max_latency_ms=50_000, max_fps=500)
        pipeline = Pipeline(
            Waits(0), source, [sink], plan=plan, on_result=lambda r: captured_ns.append(r.frame.captured_ns)
        )
        report = pipeline.run(seconds=30)
    assert report.age is not None
    assert report.age.worst_ms < 30_000
    assert report.seconds < 30
    assert (report.answered, report.stopped) == (10, "")
    with av.open(str(film)) as container:
        shown_s = [float(picture.pts * picture.time_base) for picture in container.decode(video=0)]
    since_s = [(ns - captured_ns[0]) / 1e9 for ns in captured_ns]
    assert [shown - shown_s[0] for shown in shown_s] == pytest.approx(since_s, abs=0.002)


# ---- sessions


def test_a_classifier_s_three_stages_answer_as_it_does_itself(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (12, 10, 3), np.uint8) for _ in range(6)]
    frames = [Frame(p, "rgb", n, n) for n, p in enumerate(pictures)]
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify") as session:
        alone = [session(frame) for frame in frames]
        answers = list(Pipeline(session, iter(frames)).results())
        assert all(isinstance(answer, Classification) for answer in answers)
        assert all(np.array_equal(a.scores, b.scores) for a, b in zip(alone, answers, strict=True))
        assert [a.frame.index for a in answers] == list(range(6))
        assert answers[0].speed["inference"] > 0
        live = list(session.stream(Paced(5, every_s=A), policy="every"))
        assert [a.frame.index for a in live] == list(range(5))
        assert len(list(session.stream(pictures, color="bgr", policy="newest"))) == 6
        with pytest.raises(UsageError, match="policy must be"):
            next(session.stream(pictures, color="bgr", policy="oldest"))


def test_a_tracker_s_one_stage_answers_as_it_does_itself() -> None:
    import red_box

    frames = red_box.frames(8)
    tracker, _ = blob_session()
    with tracker:
        alone = [tracks[0].box_xyxy for tracks in tracker.stream(frames, (40, 40, 64, 60))]
    tracker, _ = blob_session()
    with tracker:
        answers = list(Pipeline(tracker.starting((40, 40, 64, 60)), iter(frames)).results())
    assert all(np.array_equal(a, b[0].box_xyxy) for a, b in zip(alone, answers, strict=True))
