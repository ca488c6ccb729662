"""Lines are bounded and shared out over real sockets: who opens many, dribbles or never reads starves nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from web_asking import until

from edgevit.apps.web import protocols
from edgevit.apps.web.address import Address
from edgevit.apps.web.running import Running

pytest.importorskip("uvicorn")
sync = pytest.importorskip("websockets.sync.client")
frames = pytest.importorskip("websockets.frames")

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
GREEDY, MODEST = "127.0.0.2", "127.0.0.1"
"""Two clients: all of 127.0.0.0/8 is this machine, where the system is Linux."""


class Application:
    """Answer; behind /wait when it is let, behind /much with more than any buffer; hold websockets until they go."""

    def __init__(self) -> None:
        self.began, self.gone, self.let = 0, 0, threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        elif scope["type"] == "http":
            self.began += 1
            while scope["path"] == "/wait" and not self.let.is_set():
                await asyncio.sleep(0.01)
            body = bytes(30_000_000 if scope["path"] == "/much" else 2)
            length = (b"content-length", str(len(body)).encode())
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            self.gone += 1


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture
def server(app: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Serve with six lines."""
    monkeypatch.setattr(protocols, "MOST_LINES", 6)
    with Running(app, Address(), grace_s=1) as running:
        yield running


@pytest.fixture
def lines() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def opened(server: Running, lines: contextlib.ExitStack, client: str, said: bytes = b"") -> socket.socket:
    """Open a line of a client and say something on it."""
    place = ("127.0.0.1", server.address.port)
    try:
        line = socket.create_connection(place, timeout=60, source_address=(client, 0))
    except OSError:
        pytest.skip(f"{client} is no address of this machine")
    line.sendall(said)
    return lines.enter_context(line)


def heard(line: socket.socket) -> bytes:
    """Return what comes until the other side has no more to say."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while more := line.recv(65536):
            said += more
    return said


def ended(line: socket.socket) -> bool:
    """Tell, at once, whether the other side has closed a line on which it says nothing."""
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answered(server: Running, lines: contextlib.ExitStack, client: str) -> bool:
    line = opened(server, lines, client, HEAD)
    return line.recv(65536).startswith(b"HTTP/1.1 200")


def open_lines(server: Running) -> int:
    return len(server._server.server_state.connections)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHo", HEAD])
@pytest.mark.parametrize("client", [GREEDY, MODEST])
def test_who_opens_many_and_says_nothing_more_starves_nobody(
    server: Running, lines: contextlib.ExitStack, said: bytes, client: str
) -> None:
    """Not even others behind the same address, since what waits for a request is what goes."""
    held = [opened(server, lines, client, said) for _ in range(30)]
    for _ in range(5):
        assert answered(server, lines, MODEST)
    if not said:
        until(lambda: sum(map(ended, held)) >= 24)
    until(lambda: open_lines(server) <= 6)


def test_five_hundred_lines_that_dribble_leave_room_for_others(app: Application, lines: contextlib.ExitStack) -> None:
    with Running(app, Address(), grace_s=1) as server:
        held = [opened(server, lines, GREEDY, b"G") for _ in range(500)]
        assert all(answered(server, lines, MODEST) for _ in range(20))
        for line in held:
            with contextlib.suppress(ConnectionError):
                line.sendall(b"E")
        assert all(answered(server, lines, MODEST) for _ in range(20))
        assert open_lines(server) <= protocols.MOST_LINES


def test_requests_under_way_are_not_lost_to_more_from_the_same_client_and_it_is_told(
    app: Application, server: Running, lines: contextlib.ExitStack
) -> None:
    waiting = HEAD.replace(b"/", b"/wait", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    held = [opened(server, lines, GREEDY, waiting) for _ in range(6)]
    until(lambda: app.began == 6)
    refused = heard(opened(server, lines, GREEDY, HEAD))
    assert refused.startswith(b"HTTP/1.1 503")
    for part in (b"retry-after: 10", b"nosniff", b'"status": 503', b"Close some, or wait."):
        assert part in refused
    assert answered(server, lines, MODEST)
    app.let.set()
    statuses = [heard(line)[:12] for line in held]
    assert sorted(statuses) == [b""] + [b"HTTP/1.1 200"] * 5


def test_websockets_are_lines_too_and_the_one_that_is_silent_longest_goes(
    server: Running, lines: contextlib.ExitStack
) -> None:
    url = f"ws://127.0.0.1:{server.address.port}/"
    held = [lines.enter_context(sync.connect(url, sock=opened(server, lines, GREEDY))) for _ in range(6)]
    held[0].send("still here")
    held[0].ping().wait(60)
    assert answered(server, lines, MODEST)
    with pytest.raises(Exception, match="no close frame"):
        held[1].recv(timeout=60)
    assert held[0].ping().wait(60)
    for one in held[2:]:
        one.close()
    until(lambda: open_lines(server) <= 2)
    assert len([opened(server, lines, GREEDY) for _ in range(4)]) == 4
    assert held[0].ping().wait(60)


def test_a_line_that_says_nothing_or_dribbles_is_closed(
    app: Application, lines: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "QUIET_S", 0.3)
    with Running(app, Address()) as server:
        for said in (b"", b"GET / HTTP/1.1\r\nHo"):
            assert heard(opened(server, lines, MODEST, said)) == b""
        assert heard(opened(server, lines, MODEST, HEAD + b"GET / HT")).startswith(b"HTTP/1.1 200")


def test_a_request_that_waited_behind_another_is_given_its_time(
    app: Application, lines: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "QUIET_S", 0.3)
    with Running(app, Address()) as server:
        line = opened(server, lines, MODEST, HEAD + HEAD.replace(b"/", b"/wait", 1))
        until(lambda: app.began == 2)
        threading.Timer(1.0, app.let.set).start()
        assert heard(line).count(b"HTTP/1.1 200") == 2


def test_who_does_not_read_what_it_asked_for_is_cut_off(
    app: Application, lines: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "SLOW_S", 1.0)
    asks = HEAD.replace(b"/", b"/much", 1)
    with Running(app, Address()) as server:
        line = opened(server, lines, MODEST, asks)
        assert line.recv(12) == b"HTTP/1.1 200"
        until(lambda: app.gone == 1)
        until(lambda: open_lines(server) == 0)
        reads = opened(server, lines, MODEST, asks)
        said = 0
        while said < 30_000_000:  # slowly, but it reads
            said += len(reads.recv(1 << 20))
            threading.Event().wait(0.01)


def upgraded(server: Running, lines: contextlib.ExitStack) -> tuple[socket.socket, Any]:
    """Open a websocket whose client does only what it is told; return the server's side too."""
    line = opened(server, lines, MODEST, HEAD.replace(b"\r\n\r\n", UPGRADE))
    assert line.recv(65536).startswith(b"HTTP/1.1 101")
    (one,) = server._server.server_state.connections
    return line, one


def test_a_message_of_endless_pieces_of_nothing_is_not_kept(server: Running, lines: contextlib.ExitStack) -> None:
    line, one = upgraded(server, lines)
    line.sendall(frames.Frame(frames.Opcode.TEXT, b"x", fin=False).serialize(mask=True))
    line.sendall(frames.Frame(frames.Opcode.CONT, b"", fin=False).serialize(mask=True) * 1000)
    line.sendall(frames.Frame(frames.Opcode.PING, b"").serialize(mask=True))
    assert line.recv(2) == b"\x8a\0"
    assert len(one.frames) == 1


def test_pings_that_are_answered_and_never_read_do_not_pile_up(server: Running, lines: contextlib.ExitStack) -> None:
    line, one = upgraded(server, lines)
    ping = frames.Frame(frames.Opcode.PING, bytes(125)).serialize(mask=True)
    for _ in range(300):
        line.sendall(ping * 1000)
    assert not one.writable.is_set()
    assert one.transport.get_write_buffer_size() < 1_000_000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system cannot be told")
def test_a_line_that_is_dead_is_noticed(server: Running, lines: contextlib.ExitStack) -> None:
    assert answered(server, lines, MODEST)
    (one,) = server._server.server_state.connections
    held: socket.socket = one.transport.get_extra_info("socket")
    assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
