"""Several sources before one engine: fair, in groups where the bundle allows, and each of them can go by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
import tiny_bundles
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import Kept, Paced, Told, Waits

from edgevit.errors import InputError, UsageError
from edgevit.runtime import Frame, Session, load
from edgevit.runtime.handover import Handover
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.stages import Job, Stage
from edgevit.spec import TensorSpec

pytestmark = pytest.mark.timeout(60)

A = 0.003


class Groups:
    """Be a model that remembers which frames it was given together."""

    def __init__(self, most: int, *, takes_s: float = 0.0) -> None:
        self.groups: list[list[tuple[int, int]]] = []
        self._most, self._takes_s = most, takes_s

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage("before", lambda job: job.frame),
            Stage("both", lambda job: self._many([job])[0], self._many, self._most),
            Stage("after", lambda job: Told(job.value)),
        )

    def _many(self, jobs: Sequence[Job]) -> list[Frame]:
        self.groups.append([(job.lane, job.frame.index) for job in jobs])
        time.sleep(self._takes_s)
        return [job.value for job in jobs]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 4), st.one_of(st.none(), st.integers(1, 4)))
@settings(max_examples=25, deadline=None)
def test_groups_hold_a_frame_of_a_source_and_lose_and_disorder_none(
    counts: list[int], most: int, wanted: int | None
) -> None:
    model, sink = Groups(most), Kept()
    sources = [Paced(count, live=False, name=str(lane)) for lane, count in enumerate(counts)]
    report = Pipeline(model, sources, [sink], plan=Plan("every", batch=wanted)).run()
    for lane, count in enumerate(counts):
        assert [index for group in model.groups for its, index in group if its == lane] == list(range(count))
        assert report.sources[lane].answered == count
        assert report.sources[lane].disordered == 0
    for group in model.groups:
        assert 1 <= len(group) <= min(len(counts), most or 99, wanted or 99)
        assert len({lane for lane, _ in group}) == len(group)
    assert len(sink.indices) == sum(counts)


def test_cameras_that_wait_at_the_same_time_are_answered_together() -> None:
    model = Groups(4, takes_s=4 * A)
    sources = [Paced(60, every_s=A, name=str(n)) for n in range(4)]
    Pipeline(model, sources).run()
    sizes = [len(group) for group in model.groups]
    assert np.median(sizes[2:-2]) >= 3


def test_a_camera_that_has_stopped_sending_holds_nobody_up() -> None:
    """One freezes after three frames: groups go on without it, after a wait of milliseconds."""
    frozen, others = Paced(3, name="frozen"), [Paced(40, every_s=A, name=str(n)) for n in range(2)]
    frozen.blocks = threading.Event()
    model = Groups(3)
    pipeline = Pipeline(model, [frozen, *others], plan=Plan(limit=60))
    assert pipeline.run().answered == 60
    frozen.blocks.set()


def test_one_source_can_be_ended_and_the_rest_goes_on() -> None:
    class Closed(Paced):
        """A camera that says so when it is closed under its reader."""

        def __iter__(self) -> Any:
            yield from super().__iter__()
            if self.closed.is_set():
                raise InputError("the device is gone")

    sources = [Closed(100_000, every_s=A, name=str(n)) for n in range(3)]
    sink = Kept()
    pipeline = Pipeline(Waits(0), sources, [sink])
    seen: list[int] = []
    ended_at = 0
    for result in pipeline.results():
        seen.append(sources.index(next(s for s in sources if s.name == result.frame.source)))
        if len(seen) == 30:
            pipeline.end_source(1)
            ended_at = len(seen)
        if len(seen) == 100:
            break
    assert sources[1].closed.is_set()
    assert 1 not in seen[ended_at + 10 :]
    assert {0, 2} <= set(seen[ended_at + 10 :])


def test_a_run_ends_when_its_last_source_was_ended() -> None:
    source = Paced(100_000, every_s=A)
    pipeline = Pipeline(Waits(0), [source], on_result=lambda result: pipeline.end_source(0))
    assert pipeline.run().answered >= 1


@pytest.fixture
def four(tmp_path: Path) -> Session:
    """Return a classifier whose file takes four rows, no more and no fewer."""
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4, batch=4).read_bytes()
    graph = tiny_bundles.manifest().graphs["main"]
    graph = replace(graph, inputs=(TensorSpec("image", (4, 3, 8, 8)),), outputs=(TensorSpec("logits", (4, 3)),))
    return load(tiny_bundles.write(tmp_path / "four", content=content, graphs={"main": graph}), task="classify")


def test_a_bundle_of_four_answers_three_sources_as_it_does_each_alone(four: Session) -> None:
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    films = [
        [Frame(rng.integers(0, 256, (9, 9, 3), np.uint8), "rgb", n, n, str(k)) for n in range(5)] for k in range(3)
    ]
    with four:
        alone = {(f.source, f.index): four(f).scores for film in films for f in film}
        sizes = []
        plain = four._together

        def counted(jobs: Sequence[Job]) -> list[Any]:
            sizes.append(len(jobs))
            return plain(jobs)

        four._together = counted  # type: ignore[method-assign]
        answers = list(Pipeline(four, [iter(film) for film in films], plan=Plan("every")).results())
    assert len(answers) == len(alone) == 15
    for answer in answers:
        np.testing.assert_allclose(answer.scores, alone[answer.frame.source, answer.frame.index], rtol=1e-6)
    assert max(sizes, default=0) > 1


def test_no_group_where_the_bundle_is_of_one_or_nobody_wants_it(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify", engine="null") as session:
        session._together = pytest.fail  # type: ignore[method-assign, assignment]
        sources = [Paced(5, live=False) for _ in range(3)]
        assert Pipeline(session, sources, plan=Plan("every")).run().answered == 15
    with pytest.raises(UsageError, match="batch must be a whole number from 1, not 0"):
        Plan(batch=0)


# ---- the parts


def test_who_leads_is_one_and_the_next_is_woken_when_it_is_worth_it() -> None:
    frames: Handover[int] = Handover(2)
    led: list[int] = []

    def worker() -> None:
        try:
            while True:
                frames.lead()
                led.extend(frames.take_group(1))
                frames.led()
        except BaseException:
            return

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(50):
        frames.give(number)
    frames.finish()
    for thread in threads:
        thread.join(20)
    assert led == list(range(50))
    assert not any(thread.is_alive() for thread in threads)
