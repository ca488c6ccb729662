"""The hub: the newest picture to who asks, one JPEG a frame for all, none for nobody, whatever a viewer does."""

from __future__ import annotations

import contextlib
import io
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paced import Told

from edgevit.apps.viewer.hub import Hub, Shown, jpeg_of
from edgevit.apps.viewer.message import MAGIC, Picture, pack, unpack
from edgevit.decoders import decode
from edgevit.errors import InputError
from edgevit.runtime.frame import Frame

pytest.importorskip("PIL")
WAIT_S = 30


def frame(index: int, grey: int = 90, size_hw: tuple[int, int] = (48, 64)) -> Frame:
    return Frame(np.full((*size_hw, 3), grey, np.uint8), "rgb", time.monotonic_ns(), index, f"camera#{index}")


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub(("one", "two"), most_fps=500)
    yield made
    made.close()


def put(hub: Hub, index: int, lane: int = 0) -> int:
    shot = frame(index)
    return hub.put(shot, Told(shot), lane, shot.captured_ns).number


class Viewer:
    """Ask for a picture, and keep it."""

    def __init__(self, hub: Hub, lane: int = 0) -> None:
        self._hub, self._lane = hub, lane
        self.pictures: queue.Queue[Shown] = queue.Queue()

    def ask(self, after: int = 0) -> None:
        self._hub.ask(self._lane, after, self.pictures.put)

    def picture(self) -> Shown:
        return self.pictures.get(timeout=WAIT_S)


def test_nobody_watches_and_nothing_is_encoded(hub: Hub) -> None:
    for index in range(50):
        put(hub, index)
    time.sleep(0.05)
    assert hub.encoded == 0
    newest = hub.newest(0)
    assert newest is not None
    assert newest.frame.index == 49
    assert hub.newest(1) is None


def test_who_asks_gets_the_newest_and_waits_for_a_newer_one(hub: Hub) -> None:
    viewer = Viewer(hub)
    put(hub, 0)
    last = put(hub, 1)
    viewer.ask()
    first = viewer.picture()
    assert (first.answer.frame.index, hub.encoded) == (1, 1)
    viewer.ask(last)
    time.sleep(0.05)
    assert viewer.pictures.empty(), "there is no newer one yet"
    put(hub, 2)
    assert viewer.picture().answer.frame.index == 2
    time.sleep(0.05)
    assert viewer.pictures.empty(), "an ask is answered once"


def test_one_encoding_serves_all_viewers(hub: Hub) -> None:
    viewers = [Viewer(hub) for _ in range(9)]
    for viewer in viewers[:5]:
        viewer.ask()
    put(hub, 0)
    told = [viewer.picture() for viewer in viewers[:5]]
    for viewer in viewers[5:]:
        viewer.ask()
    told += [viewer.picture() for viewer in viewers[5:]]
    assert {shown.answer.frame.index for shown in told} == {0}
    assert hub.encoded == 1
    assert len({id(shown.message) for shown in told}) == 1


def test_who_asks_while_a_picture_is_made_gets_that_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(shot: Frame, longest_px: int) -> bytes:
        begun.set()
        go_on.wait(WAIT_S)
        return jpeg_of(shot, longest_px)

    monkeypatch.setattr("edgevit.apps.viewer.hub.jpeg_of", slowly)
    one, two = Viewer(hub), Viewer(hub)
    put(hub, 0)
    one.ask()
    assert begun.wait(WAIT_S)
    two.ask()
    go_on.set()
    assert one.picture() is two.picture()
    assert hub.encoded == 1


def test_a_viewer_that_never_asks_again_costs_nothing(hub: Hub) -> None:
    fast, stuck = Viewer(hub), Viewer(hub)
    stuck.ask()
    last = 0
    for index in range(20):
        put(hub, index)
        fast.ask(last)
        last = fast.picture().answer.number
    assert hub.encoded <= 21
    assert stuck.pictures.qsize() == 1


def test_the_lanes_are_apart_and_each_is_served(hub: Hub) -> None:
    one, two = Viewer(hub, 0), Viewer(hub, 1)
    one.ask()
    two.ask()
    put(hub, 5, lane=1)
    assert two.picture().answer.lane == 1
    assert one.pictures.empty()
    put(hub, 6, lane=0)
    assert one.picture().answer.frame.index == 6


def test_pictures_come_no_faster_than_their_rate() -> None:
    hub = Hub(("one",), most_fps=20)
    viewer, last, began_s = Viewer(hub), 0, time.monotonic()
    for index in range(5):
        put(hub, index)
        viewer.ask(last)
        last = viewer.picture().answer.number
    assert time.monotonic() - began_s >= 4 / 20 - 0.005
    hub.close()


def test_what_was_forgotten_is_not_called(hub: Hub) -> None:
    viewer = Viewer(hub)
    take = viewer.pictures.put
    hub.ask(0, 0, take)
    hub.forget(take)
    other = Viewer(hub)
    other.ask()
    put(hub, 0)
    other.picture()
    assert viewer.pictures.empty()


def test_a_closed_hub_takes_answers_and_makes_no_pictures() -> None:
    hub = Hub(("one",))
    hub.close()
    viewer = Viewer(hub)
    viewer.ask()
    put(hub, 0)
    assert viewer.pictures.empty()
    assert not any(thread.name == "edgevit page pictures" for thread in threading.enumerate())


def test_a_picture_that_cannot_be_made_is_told_and_the_next_one_comes(hub: Hub) -> None:
    class Broken(Told):
        def to_dict(self) -> dict[str, Any]:
            raise ValueError("no such class")

    viewer, shot = Viewer(hub), frame(0)
    viewer.ask()
    hub.put(shot, Broken(shot), 0, 0)
    told = unpack(viewer.picture().message)
    assert (told.header["fault"], told.jpeg) == ("This picture cannot be shown: no such class", b"")
    viewer.ask(told.header["number"])
    put(hub, 1)
    assert unpack(viewer.picture().message).jpeg.startswith(b"\xff\xd8")


def test_the_message_says_which_frame_it_is_and_what_was_answered(hub: Hub) -> None:
    viewer = Viewer(hub)
    viewer.ask()
    number = put(hub, 7)
    told = unpack(viewer.picture().message)
    said = [told.header[key] for key in ("lane", "number", "index", "source", "size_hw", "result")]
    assert said == [0, number, 7, "camera#7", [48, 64], {"index": 7}]
    assert 0 <= told.header["answered_ms"] < 60_000
    assert told.header["captured_ms"] <= time.monotonic_ns() / 1e6
    assert decode(told.jpeg, "page").shape == (48, 64, 3)


def test_large_pictures_are_scaled_down_and_small_ones_left() -> None:
    from PIL import Image

    for size_hw, shown in (((1080, 1920), (1280, 720)), ((1920, 1080), (720, 1280)), ((120, 160), (160, 120))):
        assert Image.open(io.BytesIO(jpeg_of(frame(0, size_hw=size_hw)))).size == shown


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=5), st.binary(max_size=50))
def test_a_message_is_read_as_it_was_written(header: dict[str, Any], jpeg: bytes) -> None:
    told = unpack(pack(Picture(header, jpeg)))
    assert (told.header, told.jpeg) == (header, jpeg)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: MAGIC + data))
def test_what_is_no_message_is_refused_in_a_sentence(data: bytes) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(unpack(data).header, dict)
