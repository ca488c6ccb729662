"""The page's server on a real port: what a viewer gets, what it may ask, and the one that never reads."""

from __future__ import annotations

import gc
import json
import os
import random
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import pytest
import red_box
from paced import Told

from edgevit.apps.viewer.message import Picture, unpack
from edgevit.apps.viewer.page import MOST_VIEWERS, Page
from edgevit.apps.viewer.serving import Serving
from edgevit.errors import EnvironmentFault, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.steering import Steered

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")
client = pytest.importorskip("websockets.sync.client")
ConnectionClosed = pytest.importorskip("websockets.exceptions").ConnectionClosed

WAIT_S = 60.0
NOISE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
SMALL = np.zeros((12, 16, 3), np.uint8)


class Camera:
    """Yield frames until it is closed, and remember which of them somebody still holds."""

    live, total, name = True, None, "camera"
    faults: tuple[str, ...] = ()

    def __init__(self, pixels: Any = SMALL, count: int = 10**9, every_s: float = 0.003) -> None:
        self.alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        self._pixels, self._count, self._every_s = pixels, count, every_s
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            if self._closed.wait(self._every_s):
                return
            frame = Frame(self._pixels, "rgb", time.monotonic_ns(), index, self.name)
            self.alive.add(frame)
            yield frame

    def close(self) -> None:
        self._closed.set()


class Shown:
    """Hold a run whose page is on a port."""

    def __init__(self, tmp_path: Path, cameras: list[Camera], **choices: Any) -> None:
        self.cameras = cameras
        serving = {key: choices.pop(key) for key in ("token", "hosts") if key in choices}
        plan, model = choices.pop("plan", None), choices.get("steered", Told)
        names = [f"{camera.name} {number}" for number, camera in enumerate(cameras)]
        self.page = Page(names, title="null", task="track", record_dir=tmp_path, **choices)
        self.pipeline = Pipeline(model, cameras, self.page.sinks, plan=plan)
        self.said: list[str] = []
        self._serving = Serving("0", say=lambda words: self.said.append(words), **serving)
        self.port = self._serving.address.port
        self._thread = threading.Thread(target=self.pipeline.run)

    @contextmanager
    def running(self) -> Iterator[Shown]:
        with self._serving.shows(self.page, self.pipeline):
            self._thread.start()
            try:
                yield self
            finally:
                self.pipeline.stop("the test is over")
                self._thread.join(WAIT_S)

    def connect(self, **more: Any) -> Any:
        return client.connect(f"ws://127.0.0.1:{self.port}/live", open_timeout=WAIT_S, proxy=None, **more)

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with Shown(tmp_path, [Camera(), Camera()]).running() as made:
        yield made


def until(true: Callable[[], object], wait_s: float = WAIT_S) -> None:
    ends_s = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def hear(viewer: Any, kind: str) -> dict[str, Any]:
    """Return the next text of a kind."""
    while True:
        told = viewer.recv(timeout=WAIT_S)
        if isinstance(told, str) and json.loads(told)["type"] == kind:
            data: dict[str, Any] = json.loads(told)
            return data


def see(viewer: Any) -> Picture:
    """Return the next picture, and say nothing of it."""
    while True:
        told = viewer.recv(timeout=WAIT_S)
        if isinstance(told, bytes):
            return unpack(told)


def say(viewer: Any, **words: Any) -> None:
    viewer.send(json.dumps(words))


def order(viewer: Any, **words: Any) -> dict[str, Any]:
    say(viewer, ask=3, **words)
    return hear(viewer, "reply")


# ---- what is served


def test_the_files_come_as_they_are_with_strict_headers(shown: Shown) -> None:
    static = Path(__file__).parents[3] / "apps" / "viewer" / "static"
    for path, name, kind in (
        ("/", "index.html", "text/html"),
        ("/viewer.js", "viewer.js", "text/javascript"),
        ("/viewer.css", "viewer.css", "text/css"),
        ("/icon.svg", "icon.svg", "image/svg"),
    ):
        status, body, headers = shown.get(path)
        assert (status, body) == (200, (static / name).read_bytes())
        assert headers["content-type"].startswith(kind)
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
    assert shown.get("/../page.py")[0] == shown.get("/static/viewer.js")[0] == 404


def test_the_files_ask_for_nothing_from_elsewhere_and_hold_no_script_of_their_own() -> None:
    static = Path(__file__).parents[3] / "apps" / "viewer" / "static"
    for path in static.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in "".join(line for line in text.splitlines() if "http" in line), path
    page = (static / "index.html").read_text(encoding="utf-8")
    assert " style=" not in page
    assert " on" + "click" not in page
    assert "<style" not in page


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


# ---- what may be asked


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


def test_too_many_orders_are_refused_and_other_viewers_are_not(shown: Shown) -> None:
    with shown.connect() as greedy, shown.connect() as calm:
        for _ in range(60):
            say(greedy, do="pause", on=False, ask=1)
        replies = [hear(greedy, "reply") for _ in range(60)]
        assert {"Too many orders came at once; slow down."} == {r["message"] for r in replies if not r["ok"]}
        assert sum(reply["ok"] for reply in replies) >= 1
        assert order(calm, do="pause", on=False)["ok"]
        assert not all(order(calm, do="pause", on=False)["ok"] for _ in range(300)), "one after the other, but too many"


@pytest.mark.parametrize("words", ["x" * 5000, "x" * 200_000, b"\x00\x01"], ids=("long", "longer", "bytes"))
def test_what_is_too_long_or_no_text_ends_the_viewer_and_nobody_else(shown: Shown, words: Any) -> None:
    with shown.connect() as rude, shown.connect() as calm:
        hear(rude, "hello")
        rude.send(words)
        with pytest.raises(ConnectionClosed):
            hear(rude, "nothing of this kind")
        assert order(calm, do="pause", on=False)["ok"]


def test_viewers_have_an_end_and_places_become_free(shown: Shown) -> None:
    with ExitStack() as stack:
        viewers = [stack.enter_context(shown.connect()) for _ in range(MOST_VIEWERS)]
        for viewer in viewers:
            hear(viewer, "hello")
        with shown.connect() as late, pytest.raises(ConnectionClosed) as told:
            late.recv(timeout=WAIT_S)
        assert told.value.rcvd.code == 1013
        viewers.pop().close()
        until(lambda: len(shown.page._viewers) < MOST_VIEWERS)
        with shown.connect() as next_one:
            hear(next_one, "hello")


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


def test_noise_from_many_hurts_nobody(shown: Shown) -> None:
    dice = random.Random(5)
    words = ["watch", "shown", "clock", "start", "stop", "pause", "record", "x", "", "__class__", "do"]
    values: list[Any] = [0, -1, 1e300, True, None, "x", [], [0], [1, 2, 3, 4], {}, {"do": 1}, 10**30]
    with shown.connect() as calm:
        for _ in range(6):
            with shown.connect() as noisy:
                for _ in range(60):
                    keys = dice.sample(["lane", "lanes", "number", "t", "place", "id", "on", "ask", "more"], 3)
                    said = {"do": dice.choice(words), **{key: dice.choice(values) for key in keys}}
                    if said["do"] not in ("record", "pause"):
                        noisy.send(json.dumps(said))
                noisy.send(json.dumps({"do": "clock", "t": 77}))
                while hear(noisy, "clock")["t"] != 77:
                    pass
        say(calm, do="watch", lanes=[0])
        assert see(calm).jpeg


# ---- who may come


def test_others_need_the_token_and_their_own_origin(tmp_path: Path) -> None:
    token = "a-token-of-more-than-16"
    with Shown(tmp_path, [Camera()], token=token).running() as shown:
        assert token not in "".join(shown.said)
        assert shown.get("/")[0] == 401
        with pytest.raises(Exception, match="401"):
            shown.connect()
        status, _, headers = shown.get(f"/?token={token}")
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"].partition(";")[0]
        assert shown.get("/viewer.js", Cookie=cookie)[0] == 200
        with pytest.raises(Exception, match="403"):
            shown.connect(additional_headers={"Cookie": cookie}, origin="http://elsewhere.example")
        with shown.connect(additional_headers={"Cookie": cookie}, origin=f"http://127.0.0.1:{shown.port}") as viewer:
            assert hear(viewer, "hello")["title"] == "null"


def test_a_token_that_was_made_is_shown_once_in_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEVIT_TOKEN", raising=False)
    monkeypatch.setattr("edgevit.apps.web.address.here", lambda: "192.0.2.7")
    serving = Serving("0.0.0.0:0", say=lambda words: None)
    assert serving._token is not None
    assert (
        f"http://192.0.2.7:{serving.address.port}/?token={serving._token} (the token is shown this once)"
        in serving._where()
    )
    serving.close()
    monkeypatch.setenv("EDGEVIT_TOKEN", "one-that-somebody-set")
    serving = Serving("0.0.0.0:0", say=lambda words: None)
    assert "one-that-somebody-set" not in serving._where()
    serving.close()


def test_a_port_that_is_taken_is_told(shown: Shown) -> None:
    with pytest.raises(EnvironmentFault, match="is taken by another program"):
        Serving(str(shown.port))
    with pytest.raises(UsageError, match="no port from 0 to 65535"):
        Serving("eighty")


# ---- the end, and those who do not read


def test_the_end_of_the_run_is_told_and_the_server_goes(tmp_path: Path) -> None:
    made = Shown(tmp_path, [Camera()])
    with made.running(), made.connect() as viewer:
        hear(viewer, "hello")
        made.pipeline.stop("enough")
        made._thread.join(WAIT_S)
        made.page.finish(made.pipeline.stopped)
        assert hear(viewer, "end") == {"type": "end", "why": "enough"}
        with pytest.raises(ConnectionClosed) as told:
            viewer.recv(timeout=WAIT_S)
        assert told.value.rcvd.code == 1001
    with pytest.raises(ConnectionRefusedError):
        made.get("/")


def deaf(port: int) -> socket.socket:
    """Connect by hand, ask for pictures, and never read again."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert sock.recv(1, socket.MSG_WAITALL) == b"H"
    words = json.dumps({"do": "watch", "lanes": [0]}).encode()
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(words))
    sock.sendall(struct.pack("!BB", 0x81, 0x80 | len(words)) + mask + masked)
    return sock


@pytest.mark.slow
def test_viewers_that_never_read_hold_up_nobody_hold_little_and_are_let_go(tmp_path: Path) -> None:
    """The pictures are large enough that no buffer of the system takes more than one or two."""
    camera = Camera(NOISE, count=400)
    made = Shown(tmp_path, [camera], silence_s=3.0, plan=Plan("every"))
    with made.running(), made.connect() as reader:
        stuck = [deaf(made.port) for _ in range(4)]
        say(reader, do="watch", lanes=[0])
        seen: list[int] = []
        most_alive = 0
        while made._thread.is_alive() and len(seen) < 20:
            picture = see(reader)
            seen.append(picture.header["index"])
            say(reader, do="shown", lane=0, number=picture.header["number"])
            gc.collect()
            most_alive = max(most_alive, len(camera.alive))
        made._thread.join(WAIT_S)
        report = made.pipeline.report()
        assert report.answered == 400, "every frame was answered"
        assert next(stage.missed for stage in report.stages if stage.name == "page") == 0
        assert seen == sorted(set(seen))
        assert len(seen) > 2, "the one who reads was served meanwhile"
        # Four frames a viewer may be pointed at, the hub's two, and what stands in the pipeline.
        assert most_alive <= 4 * 5 + 2 + 24
        until(lambda: len(made.page._viewers) <= 1, 20)  # the system itself would take 30 s
    for sock in stuck:
        sock.close()
