"""The other ways to the same answers: a loop of a coroutine, and a function that is called. Bounded, and closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
import red_box
import tiny_bundles
from blob_tracker import session as blob_session
from paced import Kept, Paced, threads

from edgevit.errors import InputError, UsageError
from edgevit.runtime import Session, load
from edgevit.runtime.plan import Plan

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nobody_is_left")]

A = 0.003


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    with load(tiny_bundles.write(tmp_path / "tiny", content=content), task="classify", engine="null") as opened:
        yield opened


# ---- a coroutine's loop


@pytest.mark.parametrize("live", [True, False])
def test_a_coroutine_gets_every_answer_in_order(session: Session, live: bool) -> None:
    async def main() -> list[int]:
        return [r.frame.index async for r in session.stream_async(Paced(20, live=live), policy="every")]

    assert asyncio.run(main()) == list(range(20))


def test_the_loop_goes_on_while_frames_are_awaited(session: Session) -> None:
    async def main() -> int:
        beats, source = 0, Paced(5, every_s=20 * A)

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(A)

        task = asyncio.create_task(beat())
        async for _ in session.stream_async(source):
            pass
        task.cancel()
        return beats

    assert asyncio.run(main()) > 10


def test_a_slow_coroutine_holds_up_a_file_and_misses_frames_of_a_camera(session: Session) -> None:
    read: list[int] = []

    class Watched(Paced):
        def __iter__(self) -> Any:
            for frame in super().__iter__():
                read.append(frame.index)
                yield frame

    async def main(source: Paced) -> list[int]:
        seen = []
        async for result in session.stream_async(source):
            seen.append(result.frame.index)
            ahead = read[-1] - seen[-1]
            assert source.live or ahead < 16, "what waits is bounded"
            await asyncio.sleep(4 * A)
        return seen

    assert asyncio.run(main(Watched(40, live=False))) == list(range(40))
    seen = asyncio.run(main(Watched(60, every_s=A)))
    assert seen == sorted(set(seen))
    assert seen[-1] == 59
    assert len(seen) < 60


@pytest.mark.parametrize("way", ["break", "cancel", "timeout", "raise"])
def test_however_a_coroutine_leaves_all_is_closed_when_it_has_left(session: Session, way: str) -> None:
    source = Paced(100_000, every_s=A)

    async def loop() -> None:
        async with aclosing(session.stream_async(source)) as answers:
            async for result in answers:
                if way == "break" and result.frame.index > 3:
                    break
                if way == "raise":
                    raise ZeroDivisionError

    async def main() -> None:
        if way == "cancel":
            task = asyncio.create_task(loop())
            await asyncio.sleep(20 * A)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif way == "timeout":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop(), 20 * A)
        elif way == "raise":
            with pytest.raises(ZeroDivisionError):
                await loop()
        else:
            await loop()
        assert source.closed.is_set()
        assert not [name for name in threads() if "capture" not in name]

    asyncio.run(main())


def test_a_coroutine_that_forgets_its_loop_leaves_nothing_either(session: Session) -> None:
    source = Paced(100_000, every_s=A)

    async def main() -> None:
        async for _ in session.stream_async(source):
            break

    asyncio.run(main())
    assert source.closed.wait(10)


def test_cancelled_while_the_source_opens(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    source, opening, let_go = Paced(10), threading.Event(), threading.Event()

    def opened(uri: str) -> Paced:
        opening.set()
        let_go.wait(30)
        return source

    monkeypatch.setattr("edgevit.runtime.opened.open_source", opened)

    async def main() -> None:
        stream = session.stream_async("rtsp://slow/1")
        task = asyncio.ensure_future(anext(stream))
        while not opening.is_set():
            await asyncio.sleep(A)
        task.cancel()
        await asyncio.sleep(A)
        task.cancel()  # who is impatient waits all the same
        await asyncio.sleep(A)
        assert not task.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert source.closed.is_set()


@pytest.mark.parametrize("where", ["source", "opening", "engine"])
def test_any_thread_s_fault_reaches_who_awaits(session: Session, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Paced(5)
    fault = InputError("the cable is out")
    if where == "source":
        source.raises = fault
    if where == "engine":
        monkeypatch.setattr(session, "infer", lambda batch: (_ for _ in ()).throw(fault))

    async def main() -> None:
        async for _ in session.stream_async("/no/such/thing.png" if where == "opening" else source, policy="every"):
            pass

    with pytest.raises(InputError, match="There is no" if where == "opening" else "the cable is out"):
        asyncio.run(main())


def test_who_awaits_hears_of_an_engine_that_hangs_when_the_run_ends(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, source = threading.Event(), Paced(2, live=False)
    source.raises = InputError("the cable is out")
    monkeypatch.setattr(session, "infer", lambda batch: gate.wait(60))

    async def main() -> None:
        async for _ in session.stream_async(source, policy="newest", plan=Plan(stall_s=0.2)):
            pass

    try:
        with pytest.raises(InputError, match="the cable is out"):
            asyncio.run(asyncio.wait_for(main(), 20))
    finally:
        gate.set()


def test_a_plan_goes_with_the_coroutine(session: Session) -> None:
    async def main() -> int:
        return len([r async for r in session.stream_async(Paced(100, live=False), plan=Plan(limit=7))])

    assert asyncio.run(main()) == 7


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_closed_under_it_ends_the_run(session: Session) -> None:
    source = Paced(100_000, every_s=A)
    loop = asyncio.new_event_loop()
    stream = session.stream_async(source)
    loop.run_until_complete(anext(stream))
    loop.close()
    assert source.closed.wait(20)


def test_a_coroutine_follows_targets() -> None:
    async def main() -> list[Any]:
        tracker, _ = blob_session()
        with tracker:
            with pytest.raises(UsageError, match="nothing to follow"):
                await anext(tracker.stream_async(red_box.frames(3)))
            return [tracks async for tracks in tracker.stream_async(red_box.frames(6), (40, 40, 64, 60))]

    answers = asyncio.run(main())
    assert [track.state for (track,) in answers] == ["tracking"] * 6
    assert answers[-1][0].box_xywh == pytest.approx(red_box.box_xywh(5), abs=4)


# ---- a function that is called


def test_a_function_is_called_with_each_answer_and_the_ledger_comes_back(session: Session) -> None:
    seen: list[int] = []
    sink = Kept()
    report = session.run(Paced(12, live=False), lambda r: seen.append(r.frame.index), sinks=[sink], policy="every")
    assert seen == sink.indices == list(range(12))
    assert report.answered == 12
    assert report.sources[0].dropped == 0


def test_what_the_function_raises_ends_the_run_and_reaches_the_caller(session: Session) -> None:
    source, sink = Paced(100_000, every_s=A / 3), Kept()

    def told(result: Any) -> None:
        if result.frame.index >= 4:
            raise ZeroDivisionError("by the callback")

    with pytest.raises(ZeroDivisionError, match="by the callback"):
        session.run(source, told, sinks=[sink])
    assert source.closed.is_set()
    assert sink.closed == 1


def test_some_seconds_a_limit_and_bare_arrays(session: Session) -> None:
    assert session.run(Paced(10**6, every_s=A), seconds=0.2).stopped == "the 0.2 s are over"
    pictures = [np.zeros((8, 8, 3), np.uint8)] * 9
    report = session.run(pictures, color="bgr", plan=Plan(limit=4))
    assert (report.answered, report.stopped) == (4, "the limit is reached")


def test_targets_that_were_started_are_followed_by_the_function_too() -> None:
    tracker, _ = blob_session()
    seen: list[Any] = []
    with tracker:
        tracker.starting((40, 40, 64, 60)).run(red_box.frames(6), seen.append)
    assert [track.state for (track,) in seen] == ["tracking"] * 6
