"""The page's server on a real port: what a viewer is told and shown, and what it may order."""

from __future__ import annotations

import json
import time
from pathlib import Path

import blob_tracker
import pytest
import red_box
from shown_page import Camera, Shown, hear, order, say, see, until

from edgevit.runtime.steering import Steered

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")
pytest.importorskip("websockets")


def test_the_log_is_json_lines(shown: Shown) -> None:
    until(lambda: shown.get("/log.jsonl")[1].count(b"\n") > 4)
    status, body, headers = shown.get("/log.jsonl")
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert "attachment" in headers["content-disposition"]
    assert {line["lane"] for line in lines} == {0, 1}
    assert all(line["answered_ms"] >= 0 for line in lines)


def test_a_viewer_is_told_who_is_there_and_gets_what_it_watches(shown: Shown) -> None:
    with shown.connect() as viewer:
        hello = hear(viewer, "hello")
        assert (hello["title"], hello["task"], hello["sources"]) == ("null", "track", ["camera 0", "camera 1"])
        say(viewer, do="watch", lanes=[1, 77])
        first = see(viewer)
        assert first.header["lane"] == 1
        assert first.jpeg.startswith(b"\xff\xd8")
        state = hear(viewer, "state")
        assert state["viewers"] == 1
        assert [set(source) for source in state["sources"]] == [
            {"answered", "dropped", "late", "reconnects", "ids"}
        ] * 2
        assert len(state["fps"]) == 2
        assert {"p50_ms", "p95_ms"} == set(hear(viewer, "state")["age"])


def test_the_next_picture_comes_when_the_last_one_has_arrived(shown: Shown) -> None:
    with shown.connect() as viewer:
        say(viewer, do="watch", lanes=[0])
        numbers = [see(viewer).header["number"]]
        hear(viewer, "state")
        hear(viewer, "state")
        encoded = shown.page.hub.encoded
        assert encoded == 1, "a picture is under way, so no other is made"
        for _ in range(5):
            say(viewer, do="shown", lane=0, number=numbers[-1])
            numbers.append(see(viewer).header["number"])
        assert numbers == sorted(set(numbers))
        say(viewer, do="shown", lane=0, number=numbers[0])
        assert hear(viewer, "state"), "an old number asks for nothing"
        assert shown.page.hub.encoded == encoded + 5


def test_clocks_can_be_held_against_each_other(shown: Shown) -> None:
    with shown.connect() as viewer:
        before = time.monotonic_ns() / 1e6
        say(viewer, do="clock", t=17.5)
        told = hear(viewer, "clock")
        assert told["t"] == 17.5
        assert before <= told["server_ms"] <= time.monotonic_ns() / 1e6


def test_pause_is_everybody_s_and_goes_on(shown: Shown) -> None:
    with shown.connect() as one, shown.connect() as two:
        assert order(one, do="pause", on=True)["paused"] is True
        while not hear(two, "state")["paused"]:
            pass
        held = shown.pipeline.ledger.answers()[0]
        assert hear(two, "state")["paused"] is True
        assert shown.pipeline.ledger.answers()[0] <= held + 1
        assert order(two, do="pause", on=False)["paused"] is False
        until(lambda: shown.pipeline.ledger.answers()[0] > held + 5)


def test_a_recording_is_made_where_it_was_said(shown: Shown, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with shown.connect() as viewer:
        begun = order(viewer, do="record", on=True)
        assert begun["ok"], begun
        while hear(viewer, "state")["recording"]["frames"] < 10:
            pass
        done = order(viewer, do="record", on=False)
        assert done["files"] == begun["files"]
        for file in done["files"]:
            assert Path(file).parent == tmp_path
            with av.open(file) as film:
                assert sum(1 for _ in film.decode(video=0)) > 1
        assert hear(viewer, "state")["recording"]["on"] is False


def test_what_cannot_be_asked_is_answered_and_the_viewer_stays(shown: Shown) -> None:
    with shown.connect() as viewer:
        viewer.send("nonsense")
        assert "one JSON object" in hear(viewer, "reply")["message"]
        assert "no order named 'format'" in order(viewer, do="format")["message"]
        assert "follows no target" in order(viewer, do="stop", lane=0, id=1)["message"]
        assert order(viewer, do="pause", on=False)["ok"]


def test_a_target_is_started_in_the_picture_that_the_viewer_saw_as_long_as_it_is_remembered(tmp_path: Path) -> None:
    steered = Steered(blob_tracker.session()[0])
    left, top, width, height = red_box.box_xywh(0)
    place = [left, top, left + width, top + height]
    with Shown(tmp_path, [Camera(red_box.picture(0))], steered=steered).running() as shown, shown.connect() as viewer:
        say(viewer, do="watch", lanes=[0])
        numbers: list[int] = []
        for _ in range(8):
            numbers.append(see(viewer).header["number"])
            say(viewer, do="shown", lane=0, number=numbers[-1])
        reply = order(viewer, do="start", lane=0, number=numbers[-1], place=place)
        assert (reply["ok"], reply["id"], reply["box_xyxy"]) == (True, 1, place)
        for number in (numbers[0], 10**8):
            reply = order(viewer, do="start", lane=0, number=number, place=place)
            assert "no longer there. Draw it again" in reply["message"]
        until(lambda: hear(viewer, "state")["sources"][0]["ids"] == [1])
        assert order(viewer, do="stop", lane=0, id=1)["ok"]
        until(lambda: hear(viewer, "state")["sources"][0]["ids"] == [])
