"""Viewers that are many, rude or deaf: each is bounded, and none of them is another one's trouble."""

from __future__ import annotations

import gc
import json
import os
import random
import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shown_page import WAIT_S, Camera, Shown, hear, order, say, see, until

from edgevit.apps.viewer.page import MOST_VIEWERS
from edgevit.runtime.plan import Plan

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")
ConnectionClosed = pytest.importorskip("websockets.exceptions").ConnectionClosed

NOISE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


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


def test_who_watches_with_many_gives_a_place_to_another(shown: Shown) -> None:
    with ExitStack() as stack:
        viewers = [stack.enter_context(shown.connect()) for _ in range(MOST_VIEWERS)]
        for viewer in viewers:
            hear(viewer, "hello")
        other = stack.enter_context(shown.connect(source_address=("127.0.0.2", 0)))
        hear(other, "hello")
        with pytest.raises(ConnectionClosed) as told:
            hear(viewers[0], "nothing of this kind")
        assert (told.value.rcvd.code, told.value.rcvd.reason) == (1001, "somebody who watched with less has its place")


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
