"""Runs end in order: at the end of their sources, by a caller, by Ctrl-C, and with parts that hang."""

from __future__ import annotations

import _thread
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_files
import pytest
import tiny_bundles
from paced import PIXELS, Kept, Paced, Waits

from edgevit.errors import EdgevitError, InputError, UsageError
from edgevit.runtime import Frame, load
from edgevit.runtime.crew import Crew
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nobody_is_left")]

A = 0.003


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
    assert report.answered == len(sink.indices) + sum(stage.missed for stage in report.stages)
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


@pytest.mark.parametrize("live", [True, False])
def test_a_source_that_hangs_does_not_hold_up_the_end(live: bool) -> None:
    source, sink = Paced(3, live=live), Kept()
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


def test_a_file_that_is_left_in_the_middle_is_closed() -> None:
    left = threading.Event()

    class Film(Paced):
        def __iter__(self) -> Iterator[Frame]:
            try:
                yield from super().__iter__()
            finally:
                left.set()

    pipeline = Pipeline(Waits(0), Film(1000, live=False), plan=Plan(limit=3))
    pipeline.run()
    assert left.is_set(), "while the pipeline is still there"


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
    assert sink.closed == 1, "what it has is kept"
    gate.set()


def test_a_session_whose_engine_hangs_lets_its_caller_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine holds the session's turn for ever, and closing waits for that turn, but not for ever."""
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    gate = threading.Event()
    monkeypatch.setattr("edgevit.runtime.opened.PATIENCE_S", 0.2)
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify", engine="null") as session:
        monkeypatch.setattr("edgevit.runtime.session.run_batch", lambda *_: gate.wait(60))
        with pytest.raises(EdgevitError, match="The stage inference has been at one frame"):
            Pipeline(session, Paced(100_000, every_s=A), plan=Plan(stall_s=0.2)).run()
        assert not gate.is_set()
    gate.set()


def test_a_hung_sink_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waited_s: list[float] = []
    see_off = Crew.see_off

    def watched(crew: Crew, progress: Any, stall_s: float) -> list[str]:
        waited_s.append(stall_s)
        return see_off(crew, progress, stall_s)

    monkeypatch.setattr(Crew, "see_off", watched)
    monkeypatch.setattr("edgevit.runtime.threads._SOON_S", 0.05)
    bad = Kept("bad")
    bad.blocks_at = 2
    with pytest.raises(EdgevitError, match="The output bad has been at one frame"):
        Pipeline(Waits(0), Paced(50, live=False), [bad], plan=Plan(stall_s=0.3)).run()
    bad.let_go.set()
    workers_s, writers_s, _ = waited_s
    assert (workers_s, writers_s) == (0.3, 0.05)


@pytest.mark.parametrize("at", range(5))
def test_an_interrupt_while_threads_are_started_leaves_nothing_running(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are an output, three workers and a capture to start."""
    begun = itertools.count()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name.startswith("edgevit") and next(begun) == at:
            raise KeyboardInterrupt
        start(thread)

    source, sink = Paced(100_000, every_s=A), Kept()
    pipeline = Pipeline(Waits(0, 0, 0), source, [sink], plan=Plan(stall_s=1.0))
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert source.closed.is_set()
    assert sink.closed == 1
    pipeline.stop("too late")
    assert pipeline.stopped == "stopped"


@pytest.mark.parametrize("live", [True, False])
def test_a_paused_run_whose_only_source_is_ended_ends(live: bool) -> None:
    pipeline = Pipeline(Waits(0), Paced(100_000, every_s=A, live=live))
    turns = itertools.count()

    def tick(elapsed_s: float) -> None:
        turn = next(turns)
        if turn == 0:
            pipeline.pause()
        elif turn == 1:
            pipeline.end_source(0)

    assert pipeline.run(tick).stopped == ""


def test_a_source_that_is_none_cannot_be_ended() -> None:
    pipeline = Pipeline(Waits(0), Paced(3, live=False))
    with pytest.raises(UsageError, match="There is no source 7; they are 0 to 0"):
        pipeline.end_source(7)
    assert pipeline.run().answered == 3
    pipeline.stop()
    assert pipeline.stopped == "", "it had ended by itself"


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
