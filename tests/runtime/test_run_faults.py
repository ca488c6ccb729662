"""A fault of any thread of a run: who hears of it, what was answered before it, and who is closed."""

from __future__ import annotations

import threading

import pytest
from paced import Kept, Paced, Waits

from edgevit.errors import EdgevitError, InputError
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nobody_is_left")]

A = 0.003


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


@pytest.mark.parametrize("policy", ["newest", "every"])
@pytest.mark.parametrize("live", [True, False])
def test_a_source_s_fault_reaches_the_caller_and_what_came_before_it_is_answered(live: bool, policy: str) -> None:
    source, sink = Paced(5, live=live), Kept()
    source.raises = InputError("the cable is out")
    with pytest.raises(InputError, match="the cable is out"):
        Pipeline(Waits(A, 5 * A, A), source, [sink], plan=Plan(policy)).run()
    assert sink.indices == list(range(5)) if policy == "every" or not live else sink.indices[-1] == 4
    assert sink.closed == 1


def test_one_source_s_fault_ends_the_others_too() -> None:
    broken, sound, sink = Paced(5, name="broken"), Paced(100_000, every_s=A, name="sound"), Kept()
    broken.raises = InputError("the cable is out")
    with pytest.raises(InputError, match="the cable is out"):
        Pipeline(Waits(A, A), [broken, sound], [sink], plan=Plan("every")).run()
    assert sound.closed.is_set()
    assert sink.closed == 1
    assert sink.indices.count(4) >= 1, "the last of those that came"


def test_a_source_s_fault_ends_a_run_that_is_paused() -> None:
    source = Paced(10, every_s=A)
    source.raises = InputError("the cable is out")
    pipeline = Pipeline(Waits(0), source, plan=Plan("newest"))
    with pytest.raises(InputError, match="the cable is out"):
        pipeline.run(lambda elapsed_s: pipeline.pause())


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


def test_a_reader_who_goes_away_hides_no_fault() -> None:
    gone, full = Kept("gone"), Kept("full")
    gone.raises = (1, BrokenPipeError())
    full.close = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        Pipeline(Waits(0), Paced(20, live=False), [gone, full]).run()


def test_a_source_whose_pipe_breaks_is_a_fault() -> None:
    source = Paced(5, live=False)
    source.raises = BrokenPipeError(32, "Broken pipe")
    with pytest.raises(BrokenPipeError):
        Pipeline(Waits(0), source, [Kept()]).run()


@pytest.mark.parametrize("live", [True, False])
def test_what_closing_a_source_raises_hides_no_fault(live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    fault, source = InputError("this frame is bad"), Paced(50, live=live, every_s=A)
    source.close = lambda: (_ for _ in ()).throw(OSError("the device is gone"))  # type: ignore[method-assign]
    with pytest.raises(InputError, match="this frame is bad"):
        Pipeline(Waits(0, fault=(0, 5, fault)), source).run()
    assert "Traceback" not in capsys.readouterr().err
