"""Bodies that are under way are bounded and shared out: who sends many slowly fills no memory and keeps nobody out."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import served_here
from served_here import Here, Waiting, picture
from web_asking import Reply, until

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

HEAD = b"POST /v1/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf"
OK = {"Content-Type": "image/jpeg"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Here, Waiting]]:
    """Serve a session before which two bodies may be under way."""
    here, session = served_here.start_waiting(tmp_path, depth=1)
    yield here, session
    assert here.close()


@pytest.fixture
def lines() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def half(here: Here, lines: contextlib.ExitStack, own: str) -> socket.socket:
    """Send half a body."""
    place = ("127.0.0.1", here.running.address.port)
    line = lines.enter_context(socket.create_connection(place, timeout=60, source_address=(own, 0)))
    line.sendall(HEAD)
    return line


def under_way(here: Here) -> int:
    return len(here.front.shelf.served["slow"]._arriving)


def post(served: tuple[Here, Waiting], own: str) -> Reply:
    here, session = served
    session.let.release()
    return here.client(own=own).ask("/v1/slow", body=picture(), headers=OK)


def test_bodies_that_arrive_slowly_do_not_fill_the_memory(
    served: tuple[Here, Waiting], lines: contextlib.ExitStack
) -> None:
    here, _ = served
    held = [half(here, lines, "127.0.0.1") for _ in range(2)]
    until(lambda: under_way(here) == 2)
    full = post(served, "127.0.0.1")
    assert (full.status, full.headers["retry-after"]) == (503, "1")
    assert "ask again" in full.json()["message"]
    for line in held:
        line.close()
    until(lambda: under_way(here) == 0)
    assert post(served, "127.0.0.1").status == 200


def test_who_sends_many_slowly_keeps_nobody_else_from_sending(
    served: tuple[Here, Waiting], lines: contextlib.ExitStack
) -> None:
    here, _ = served
    held = [half(here, lines, "127.0.0.2") for _ in range(2)]
    until(lambda: under_way(here) == 2)
    assert post(served, "127.0.0.1").status == 200
    said = b""
    while b"ask again" not in said:
        said += (more := held[0].recv(65536))
        assert more
    assert said.startswith(b"HTTP/1.1 503")
    assert under_way(here) == 1


def test_three_hundred_bodies_that_dribble_leave_room_for_others(tmp_path: Path, lines: contextlib.ExitStack) -> None:
    """Lines, bodies and the queue are bounded one behind the other; none of them is full for who has its share."""
    here = served_here.start_folder(served_here.folder(tmp_path))
    head = HEAD.replace(b"slow", b"good")
    place = ("127.0.0.1", here.running.address.port)
    held = [lines.enter_context(socket.create_connection(place, source_address=("127.0.0.2", 0))) for _ in range(300)]
    for line in held:
        with contextlib.suppress(ConnectionError):
            line.sendall(head)
    for _ in range(10):
        reply = here.client(own="127.0.0.1").ask("/v1/good", body=picture(), headers=OK)
        assert reply.status == 200
    assert len(here.front.shelf.served["good"]._arriving) <= 32
    lines.close()
    assert here.close()
