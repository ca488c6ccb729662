"""A body is read as far as the rules say, announced or not, and who sends more reads why it was refused."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from guarded import MOST, Served
from web_asking import until

from edgevit.apps.web.address import Address
from edgevit.apps.web.running import Running

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_within_the_limit_goes_through(free: Served, size: int, chunked: bool) -> None:
    body: Any = iter([b"x" * size]) if chunked and size else b"x" * size
    reply = free.ask("/count", method="POST", body=body, chunked=chunked)
    assert (reply.status, reply.json()) == (200, {"bytes": size})


@pytest.mark.parametrize("size", [MOST + 1, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_larger_body_is_refused_and_the_sender_reads_why(free: Served, size: int, chunked: bool) -> None:
    body: Any = (b"x" * min(65536, size - at) for at in range(0, size, 65536)) if chunked else b"x" * size
    reply = free.ask("/count", method="POST", body=body, chunked=chunked)
    assert (reply.status, reply.json()["error"]) == (413, "Content Too Large")
    assert free.ask("/").status == 200


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with Served(body_timeout_s=0.3) as served:
        reply = served.ask("/count", method="POST", headers={"Content-Length": "10"})
        assert (reply.status, reply.json()["status"]) == (408, 408)


def test_where_a_body_turns_into_no_http_that_is_told_once(free: Served) -> None:
    head = b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", free.port), timeout=60) as line:
        line.sendall(head + b"3\r\nabc\r\nZZ\r\n")
        said = b""
        while more := line.recv(4096):
            said += more
    assert said.count(b"HTTP/1.1") == 1
    assert said.startswith(b"HTTP/1.1 400")
    until(lambda: any("POST /count" in one for one in free.lines))
    assert not [one for one in free.lines if "LocalProtocolError" in one]


def test_what_one_line_sends_is_read_in_small_pieces_so_that_others_have_their_turn() -> None:
    pieces: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            while (message := await receive()).get("more_body"):
                pieces.append(len(message["body"]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    with Running(app, Address()) as server:
        place = ("127.0.0.1", server.address.port)
        with socket.create_connection(place, timeout=60) as line:
            line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + bytes(8_000_000))
            assert line.recv(12) == b"HTTP/1.1 200"
    assert sum(pieces) > 7_000_000
    assert max(pieces) <= (64 << 10) + (16 << 10)
