"""What a viewer may say, what is done about it, and the sentence for all that it may not."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import pytest
import red_box
from hypothesis import given
from hypothesis import strategies as st
from paced import Paced, Waits

from edgevit.apps.viewer.desk import Desk
from edgevit.apps.viewer.log import Log
from edgevit.apps.viewer.recorder import Recorder
from edgevit.apps.viewer.requests import KINDS, read_request
from edgevit.errors import UsageError
from edgevit.runtime import Frame, Tracks
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job
from edgevit.runtime.steering import MOST_TARGETS, Orders, Steered


def shot(index: int) -> Frame:
    return Frame(red_box.picture(index), "rgb", index * 33_000_000, index, "camera")


def corners(index: int) -> tuple[float, ...]:
    x, y, w, h = red_box.box_xywh(index)
    return x, y, x + w, y + h


# ---- the words


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("", "is one JSON object"),
        ("[" * 3000, "is one JSON object"),
        ("[]", 'is an object with a "do"'),
        ("{}", 'is an object with a "do"'),
        ('{"do": 7}', 'is an object with a "do"'),
        ('{"do": "stpo"}', "Did you mean stop"),
        ('{"do": "launch"}', "There is no order named 'launch'"),
        ('{"do": "stop", "lane": 0}', '"id" of "stop" must be a target\'s number'),
        ('{"do": "stop", "lane": 0, "id": true}', '"id" of "stop" must be'),
        ('{"do": "stop", "lane": -1, "id": 1}', '"lane" of "stop" must be'),
        ('{"do": "pause", "on": 1}', '"on" of "pause" must be true or false'),
        ('{"do": "pause", "on": true, "now": 1}', '"pause" has no "now"'),
        ('{"do": "pause", "on": true, "ask": "x"}', '"ask" must be a whole number'),
        ('{"do": "clock", "t": NaN}', '"t" of "clock" must be a number'),
        ('{"do": "clock", "t": 1' + "0" * 400 + "}", '"t" of "clock" must be a number'),
        ('{"do": "start", "lane": 0, "number": 1, "place": [1, 2, 3]}', '"place" of "start" must be two or four'),
        ('{"do": "start", "lane": 0, "number": 1, "place": [1, NaN]}', '"place" of "start" must be'),
        ('{"do": "watch", "lanes": "all"}', '"lanes" of "watch" must be'),
        (json.dumps({"do": "watch", "lanes": [0] * 65}), '"lanes" of "watch" must be'),
        (json.dumps({"do": "clock", "t": 1, "x": "y" * 5000}), "4096 letters at most"),
    ],
)
def test_what_cannot_be_asked_is_told(said: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("[", r"\[")):
        read_request(said)


@given(
    st.text(max_size=60) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_anything_is_read_or_refused_in_a_sentence(said: str) -> None:
    with contextlib.suppress(UsageError):
        assert read_request(said)["do"] in KINDS


def test_an_order_has_the_keys_of_its_kind_and_a_number() -> None:
    said = {"do": "start", "lane": 0, "number": 3, "place": [1, 2.5, 3, 4], "ask": 9}
    assert read_request(json.dumps(said)) == said
    assert read_request('{"do": "pause", "on": false}')["ask"] == 0


# ---- the deeds


def desk(tmp_path: Path, steered: Steered | None, lanes: int = 1) -> tuple[Desk, Pipeline]:
    pipeline = Pipeline(Waits(0), [Paced(1, live=False) for _ in range(lanes)])
    return Desk(pipeline, steered, Recorder(tmp_path / "films", [f"source {n}" for n in range(lanes)]), lanes), pipeline


def say(desk: Desk, frame: Frame | None = None, **words: Any) -> dict[str, Any]:
    return desk.do(read_request(json.dumps({**words, "ask": 5})), lambda lane, number: frame)


def answer(steered: Steered, frame: Frame, lane: int = 0) -> Tracks:
    tracks: Tracks = steered.stages()[0].run(Job(frame, 0, lane))
    return tracks


def test_a_box_on_a_picture_starts_a_target_there_and_later_frames_follow_it(tmp_path: Path) -> None:
    steered = Steered(blob_tracker.session()[0])
    at = desk(tmp_path, steered)[0]
    assert answer(steered, shot(0)) == ()
    reply = say(at, shot(1), do="start", lane=0, number=1, place=corners(1))
    assert reply == {"type": "reply", "ask": 5, "ok": True, "lane": 0, "id": 1, "box_xyxy": list(corners(1))}
    for index in range(2, 8):
        (track,) = answer(steered, shot(index))
        assert track.box_xyxy == pytest.approx(corners(index), abs=4)
    assert at.ids(0) == [1]
    assert say(at, do="stop", lane=0, id=1)["ok"]
    assert answer(steered, shot(8)) == ()


def test_a_point_on_it_is_enough(tmp_path: Path) -> None:
    at = desk(tmp_path, Steered(blob_tracker.session()[0]))[0]
    x, y, w, h = red_box.box_xywh(0)
    reply = say(at, shot(0), do="start", lane=0, number=1, place=[x + w / 2, y + h / 2])
    assert reply["box_xyxy"] == pytest.approx(corners(0), abs=4)


def test_each_source_has_targets_of_its_own(tmp_path: Path) -> None:
    steered = Steered(blob_tracker.session()[0])
    at = desk(tmp_path, steered, lanes=2)[0]
    say(at, shot(0), do="start", lane=1, number=1, place=corners(0))
    assert (at.ids(0), at.ids(1)) == ([], [1])
    assert answer(steered, shot(1), lane=0) == ()
    assert len(answer(steered, shot(1), lane=1)) == 1


@pytest.mark.parametrize(
    ("words", "frame", "sentence"),
    [
        ({"do": "start", "lane": 0, "number": 1, "place": [500, 10, 520, 30]}, shot(0), "lies outside the picture of"),
        ({"do": "start", "lane": 0, "number": 1, "place": [10, 10, 10, 30]}, shot(0), "holds nothing to follow"),
        ({"do": "start", "lane": 0, "number": 1, "place": [900, 10]}, shot(0), "lies outside the picture"),
        ({"do": "start", "lane": 0, "number": 1, "place": [1, 1, 9, 9]}, None, "no longer there. Draw it again"),
        ({"do": "start", "lane": 3, "number": 1, "place": [1, 1, 9, 9]}, shot(0), "There is no source 3; there are 1"),
        ({"do": "stop", "lane": 0, "id": 4}, None, "No target has the id 4"),
        ({"do": "record", "on": False}, None, "Nothing is being recorded"),
    ],
)
def test_an_order_that_cannot_be_is_answered_with_a_sentence(
    words: dict[str, Any], frame: Frame | None, sentence: str, tmp_path: Path
) -> None:
    reply = say(desk(tmp_path, Steered(blob_tracker.session()[0]))[0], frame, **words)
    assert (reply["ok"], reply["ask"]) == (False, 5)
    assert sentence in reply["message"]


def test_a_classifier_follows_nothing_and_says_so(tmp_path: Path) -> None:
    at = desk(tmp_path, None)[0]
    assert at.ids(0) == []
    assert "follows no target" in say(at, shot(0), do="start", lane=0, number=1, place=[1, 1, 9, 9])["message"]


def test_targets_have_an_end(tmp_path: Path) -> None:
    at = desk(tmp_path, Steered(blob_tracker.session()[0]))[0]
    for _ in range(MOST_TARGETS):
        assert say(at, shot(0), do="start", lane=0, number=1, place=corners(0))["ok"]
    reply = say(at, shot(0), do="start", lane=0, number=1, place=corners(0))
    assert "which is the most. Stop one of them first." in reply["message"]


def test_pause_holds_the_run_and_lets_it_go(tmp_path: Path) -> None:
    at, pipeline = desk(tmp_path, None)
    assert say(at, do="pause", on=True)["paused"] is True
    assert pipeline.paused
    assert say(at, do="pause", on=False)["paused"] is False
    assert not pipeline.paused


# ---- between two frames


def test_orders_are_carried_out_by_who_answers_frames() -> None:
    orders, by = Orders(patience_s=60), []
    asking = threading.Thread(target=lambda: orders.ask(lambda: by.append(threading.current_thread())))
    asking.start()
    while not orders._waiting:
        time.sleep(0.001)
    orders.carry_out()
    asking.join(10)
    assert by == [threading.current_thread()]


def test_a_target_that_was_ordered_is_in_the_answer_to_the_next_frame() -> None:
    steered, brought = Steered(blob_tracker.session()[0]), []
    steered._orders = Orders(patience_s=60)
    asking = threading.Thread(target=lambda: brought.append(steered.start(0, shot(0), corners(0))))
    asking.start()
    while not steered._orders._waiting:
        time.sleep(0.001)
    (track,) = answer(steered, shot(1))
    asking.join(10)
    assert [started.id for started in brought] == [track.id]


def test_where_no_frame_comes_who_asks_does_it_and_hears_of_faults() -> None:
    orders = Orders(patience_s=0.01)
    assert orders.ask(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        orders.ask(lambda: 1 // 0)
    assert not orders._waiting


def test_orders_that_wait_have_an_end() -> None:
    orders = Orders(patience_s=5)
    threads = [threading.Thread(target=orders.ask, args=(lambda: None,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    while len(orders._waiting) < 16:
        time.sleep(0.001)
    with pytest.raises(UsageError, match="16 orders wait already"):
        orders.ask(lambda: None)
    orders.carry_out()
    for thread in threads:
        thread.join(10)
    assert not orders._waiting


# ---- the log and the recordings


def test_the_log_keeps_the_newest_lines() -> None:
    log = Log(["hall.mp4", "yard.mp4"], most=3)
    assert log.text() == ""
    for index in range(5):
        log.add(Tracks((), shot(index)), 1, 12.2512)
    lines = [json.loads(line) for line in log.text().splitlines()]
    assert [line["index"] for line in lines] == [2, 3, 4]
    assert lines[0]["answered_ms"] == 12.25
    assert (lines[0]["lane"], lines[0]["source_name"]) == (1, "yard.mp4")


def test_a_recording_is_a_video_a_source_that_plays(tmp_path: Path) -> None:
    pytest.importorskip("av")
    recorder = Recorder(tmp_path / "films", ["hall.mp4", "rtsp://me:secret@gate/yard"])
    recorder.write_from(shot(0), Tracks((), shot(0)), lane=0, born_ns=0)
    assert recorder.state()["on"] is False
    assert not (tmp_path / "films").exists(), "nothing is written that was not asked for"
    recorder.start()
    with pytest.raises(UsageError, match="runs already"):
        recorder.start()
    for index in range(6):
        recorder.write_from(shot(index), Tracks((), shot(index)), lane=1, born_ns=0)
    assert (recorder.state()["on"], recorder.state()["frames"]) == (True, 6)
    (film,) = recorder.stop()
    assert film.endswith("-yard.mp4"), "the other source had no frame"
    frames = list(open_source(film))
    assert len(frames) == 6
    assert np.abs(frames[0].to_rgb().astype(int) - red_box.picture(0)).mean() < 12
    again = recorder.start()
    assert set(again).isdisjoint({film}), "a name is used once"
    recorder.close()


def test_a_recording_stops_before_the_disk_is_full_and_can_be_played(tmp_path: Path) -> None:
    pytest.importorskip("av")
    free = [10 << 30]
    recorder = Recorder(tmp_path, ["hall.mp4"], free_bytes=lambda folder: free[0])
    recorder.start()
    for index in range(90):
        if index == 40:
            free[0] = 10 << 20
        recorder.write(shot(index % 8), Tracks((), shot(index % 8)))
    state = recorder.state()
    assert not state["on"]
    assert "Only 10 MB are free" in state["fault"]
    assert len(list(open_source(state["files"][0]))) == 60, "it looks every thirty frames"
    with pytest.raises(UsageError, match="so nothing is recorded"):
        recorder.start()


def test_what_stands_in_for_the_model_is_steered_too(tmp_path: Path) -> None:
    """A faster tracker takes a source over, is told of targets by the page, and gives them back."""
    steered, faster = Steered(blob_tracker.session()[0]), blob_tracker.session()[0]
    at = desk(tmp_path, steered)[0]
    say(at, shot(0), do="start", lane=0, number=1, place=corners(0))
    answer(steered, shot(1))
    faster.take_over(steered, 0)
    assert [track.id for track in faster(shot(2))] == [1]
    assert say(at, shot(2), do="start", lane=0, number=2, place=corners(2))["id"] == 2
    assert say(at, do="stop", lane=0, id=1)["ok"]
    assert [track.id for track in faster(shot(3))] == at.ids(0) == [2]
    steered.take_over(faster, 0)
    (track,) = answer(steered, shot(4))
    assert track.id == 2
    assert track.box_xyxy == pytest.approx(corners(4), abs=4)
