"""A server starts on a real port or says why not, ends in order, and lets nobody hold it up."""

from __future__ import annotations

import builtins
import signal
import socket
import threading
import time
from typing import Any

import pytest
from web_asking import Client

from edgevit.apps.web import running
from edgevit.apps.web.address import Address
from edgevit.apps.web.running import Listening, Running
from edgevit.errors import EnvironmentFault, MissingDependencyError

pytest.importorskip("uvicorn")


class Slow:
    """Be an application that answers when it is let, and counts how often it was cut off."""

    def __init__(self) -> None:
        self.began, self.let = threading.Event(), threading.Event()
        self.cut = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        if scope["type"] != "http":
            return
        self.began.set()
        try:
            while not self.let.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cut += 1
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def test_a_taken_port_is_one_sentence_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(EnvironmentFault, match=r"is taken by another program\. Type another port"):
            Listening(place)


def test_an_address_of_another_machine_and_a_name_of_none_are_told() -> None:
    with pytest.raises(EnvironmentFault, match="is no address of this machine"):
        Listening(Address("192.0.2.7", 0))


def test_without_the_extra_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r"'uvicorn'.*pip install 'edgevit\[serve\]'"):
        running.check_packages()


def test_what_is_in_flight_is_finished_and_nothing_new_is_taken() -> None:
    app = Slow()
    server = Running(app, Address(), grace_s=30).start()
    replies: list[int] = []
    asking = threading.Thread(target=lambda: replies.append(Client(server.url).ask("/").status))
    asking.start()
    assert app.began.wait(30)
    threading.Timer(0.3, app.let.set).start()
    assert server.stop()
    asking.join(30)
    assert replies == [200]
    with pytest.raises(ConnectionRefusedError):
        Client(server.url).ask("/")


def test_a_signal_while_it_waits_cuts_nothing_off() -> None:
    class EndedError(Exception):
        pass

    def end(number: int, frame: object) -> None:
        raise EndedError

    def wait_for_the_signal() -> None:
        with server:
            asking.start()
            assert app.began.wait(30)
            threading.Timer(1.5, app.let.set).start()
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            server.wait()

    app, replies = Slow(), list[int]()
    server = Running(app, Address(), grace_s=30)
    asking = threading.Thread(target=lambda: replies.append(Client(server.url).ask("/").status))
    before = signal.signal(signal.SIGALRM, end)
    try:
        with pytest.raises(EndedError):
            wait_for_the_signal()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not server.alive
    asking.join(30)
    assert (replies, app.cut) == ([200], 0)


def test_who_does_not_finish_is_cut_off_within_the_grace() -> None:
    app = Slow()
    server = Running(app, Address(), grace_s=1).start()
    line = socket.create_connection(("127.0.0.1", server.address.port))
    line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert app.began.wait(30)
    assert server.stop()
    assert app.cut == 1
    line.close()


def test_small_answers_are_sent_at_once() -> None:
    """Else each waits for the other side's acknowledgement of its head."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    with Running(app, Address()) as server:
        client = Client(server.url)
        client.ask("/")
        (line,) = server._server.server_state.connections
        held: socket.socket = line.transport.get_extra_info("socket")
        assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        client.close()


def test_no_signal_is_touched() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Running(Slow(), Address()):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA:b\0\r\n\r\n"],
)
def test_what_is_no_http_is_answered_in_the_one_shape(garbage: bytes) -> None:
    app = Slow()
    app.let.set()
    with Running(app, Address()) as server:
        with socket.create_connection(("127.0.0.1", server.address.port), timeout=30) as line:
            line.sendall(garbage)
            said = b""
            while more := line.recv(4096):
                said += more
        assert said.startswith(b"HTTP/1.1 400")
        assert b'"status": 400' in said
        assert b"nosniff" in said
        assert Client(server.url).ask("/").status == 200


def test_a_server_that_was_never_started_gives_its_port_back() -> None:
    place = Listening(Address())
    Running(Slow(), place).stop()
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", place.address.port)):
        assert time.monotonic() - began < 60
