"""The ledger of a run: ages, counts, pace; and the newest frame for a loop without one."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paced import Kept, Paced, Waits

from edgevit.errors import InputError
from edgevit.runtime.ages import Ages
from edgevit.runtime.ledger import Ledger, SourceCount
from edgevit.runtime.ledger_report import SOURCE_HEADS, STAGE_HEADS
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import freshest
from edgevit.runtime.sources.freshest import Freshest

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nobody_is_left")]

A = 0.003


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
