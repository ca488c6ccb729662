"""Runs on threads: what each policy promises. Nothing is said about time, but that a run ends: order and counts."""

from __future__ import annotations

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

from edgevit.errors import UsageError
from edgevit.runtime import Classification, Frame, load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import open_source

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nobody_is_left")]

A = 0.003


def endless() -> Generator[Frame, None, None]:
    for index in itertools.count():
        time.sleep(A)
        yield Frame(PIXELS, "rgb", 0, index)


def test_a_name_is_not_opened_by_the_pipeline() -> None:
    with pytest.raises(UsageError, match=r"not 'clip.mp4'. Type: open_source\('clip.mp4'\)"):
        Pipeline(lambda frame: frame.index, "clip.mp4")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not 'a.csv'. Type: open_sink\('a.csv'\)"):
        Pipeline(lambda frame: frame.index, endless(), ["a.csv"])  # type: ignore[list-item]


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


def test_a_file_is_read_by_who_answers_and_only_when_it_is_wanted() -> None:
    """No thread is woken to read, and what is not answered yet is no more than the workers hold."""
    ahead, names = [0], set()
    model = Waits(0, 2 * A, 0)

    class Watched(Paced):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                names.add(threading.current_thread().name)
                ahead.append(frame.index - len(model.seen[2]))
                yield frame

    report = Pipeline(model, Watched(40, live=False)).run()
    assert report.answered == 40
    assert all(name.startswith("edgevit worker") for name in names)
    assert max(ahead) <= 4


def test_a_generator_of_somebody_s_own_is_read_by_one_thread() -> None:
    """It may hold what knows its thread: a database, a camera's handle, a context."""
    names = set()

    def frames() -> Iterator[Frame]:
        for index in range(40):
            names.add(threading.current_thread().name)
            yield Frame(PIXELS, "rgb", index, index)

    assert Pipeline(Waits(0, A, 0), frames()).run().answered == 40
    assert names == {"edgevit capture 0"}


def test_a_sink_with_a_lane_of_its_own_gets_all() -> None:
    sink = Kept()
    sink.lane = 7  # type: ignore[attr-defined]
    Pipeline(Waits(0), Paced(5, live=False), [sink]).run()
    assert sink.indices == list(range(5))


def test_a_list_of_frames_is_no_source() -> None:
    frames = [Frame(PIXELS, "rgb", n, n) for n in range(3)]
    with pytest.raises(UsageError, match=r"a Frame is none.*iter\(frames\)"):
        Pipeline(Waits(0), frames)
    assert Pipeline(Waits(0), iter(frames)).run().answered == 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Pipeline(Waits(0), []), "There is no source"),
        (lambda: Pipeline(Waits(0), endless(), plan="newest"), r"Type: plan=Plan\('newest'\)"),  # type: ignore[arg-type]
        (lambda: open_source(None), "not None. Type: open_source"),  # type: ignore[arg-type]
        (lambda: open_sink(None), "not None. Type: open_sink"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_told_with_what_to_type(wrong: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        wrong()


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
