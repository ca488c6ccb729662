"""A websocket goes the same way as a request, and what only looks like one is refused in the one shape."""

from __future__ import annotations

import json
import socket

import pytest
from guarded import BEARER, Served

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
sync = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")

UPGRADE = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


def test_a_websocket_goes_the_same_way(shut: Served, free: Served) -> None:
    place = f"ws://127.0.0.1:{shut.port}/echo"
    with sync.connect(place, additional_headers=BEARER) as line:
        line.send("hello")
        assert line.recv(timeout=30) == "hello"
    for headers, origin, status in (
        ({}, None, 401),
        ({"Authorization": "Bearer x"}, None, 401),
        (BEARER, "http://evil.example", 403),
        ({**BEARER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}, None, 403),
    ):
        with pytest.raises(exceptions.InvalidStatus) as refused:
            sync.connect(place, additional_headers=headers, origin=origin)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["status"] == status
    with sync.connect(f"ws://127.0.0.1:{free.port}/echo", origin=f"http://127.0.0.1:{free.port}") as line:
        line.send("free")
        assert line.recv(timeout=30) == "free"


def test_a_message_that_is_too_long_ends_its_websocket_only(free: Served) -> None:
    with sync.connect(f"ws://127.0.0.1:{free.port}/echo") as line:
        line.send("x" * 100_000)
        with pytest.raises(exceptions.ConnectionClosed):
            line.recv(timeout=30)
    assert free.ask("/").status == 200


@pytest.mark.parametrize(
    ("request_line", "headers"),
    [
        ("GET /echo", ""),
        ("GET /echo", KEY.replace("13", "99")),
        ("GET /echo", KEY.replace("AAAA", "<b>")),
        ("GET /echo", KEY + "Sec-WebSocket-Protocol: ,;\r\n"),
        ("GET /echo", KEY + "A: b\r\n" * 200),
        ("GET /" + "a" * 9000, KEY),
        ("POST /echo", KEY),
        ("GET /echo", KEY + "Content-Length: 3\r\n"),
        ("GET /nothing", KEY),
    ],
)
def test_what_is_no_websocket_is_refused_at_once(free: Served, request_line: str, headers: str) -> None:
    with socket.create_connection(("127.0.0.1", free.port), timeout=60) as line:
        line.sendall(f"{request_line} HTTP/1.1\r\n{UPGRADE}{headers}\r\n".encode())
        said = b""
        while more := line.recv(4096):
            said += more
    head, _, body = said.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert set(told) == {"error", "message", "status"}
    assert 400 <= told["status"] == int(head.split()[1]) < 500  # which one is the library's choice
    assert told["message"]
    assert b"nosniff" in head.lower()
