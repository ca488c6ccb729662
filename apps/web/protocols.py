"""Give uvicorn's protocols what they lack: lines that are shared out, an end to slow ones, and loggers that are mute.

A line is a connection, a websocket's too. Uvicorn's own limit counts lines without asking whose they are, so one client
can have them all; here ``Shares`` hold them. Uvicorn also writes of requests with their query, and websockets, where a
process debugs, with all their headers: a token would be in both. The guard has a log of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

from .answers import error_data, strict
from .rate import client_of
from .shares import Shares

MOST_LINES = 256
QUIET_S = 10.0
"""How long a line may take for the head of a request."""
SLOW_S = 30.0
_AT_ONCE_BYTES = 16 << 10
"""What is read of one line before others have their turn: taken apart byte by byte it may take a while."""
_LEAST_BYTES = 48_000
"""What a client reads at least, in so many seconds, of more than fits into the system's own buffers."""
_MUTE = logging.Logger("edgevit web", logging.CRITICAL + 1)
"""In no tree of loggers, so nobody's settings make it speak."""
_NO_HANDSHAKE = "That is not how a websocket begins."
_NO_SOCKET = "There is no websocket here."
_FULL = "As many connections are open as may be, and no client has two more than you. Close some, or wait."


class _Line(asyncio.Protocol):
    """Be one of the lines that are shared out, and cut it off where the other side reads too slowly."""

    shares: Shares[Any]
    transport: Any
    loop: asyncio.AbstractEventLoop
    _slow: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.shares.leave(self.transport)
        self._reads_again()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reads_again()

    def _look_again(self) -> None:
        self._slow = self.loop.call_later(SLOW_S, self._judge, self.transport.get_write_buffer_size())

    def _judge(self, before_bytes: int) -> None:
        if before_bytes - self.transport.get_write_buffer_size() < _LEAST_BYTES:
            self.transport.abort()
        else:
            self._look_again()

    def _reads_again(self) -> None:
        if self._slow is not None:
            self._slow.cancel()


def http_protocol(lines: Shares[Any]) -> type[Any]:
    """Return uvicorn's HTTP protocol with these limits."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(_Line, H11Protocol):
        shares = lines

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.logger = self.access_logger = _MUTE
            self.access_log = False
            self._watch: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.max_size = _AT_ONCE_BYTES
            client = client_of((self.client or ("?",))[0])
            if self.shares.full_for(client):
                self._refuse(503, _FULL, (b"retry-after", f"{QUIET_S:.0f}".encode()))
                return
            leaving = self.shares.enter(client, transport)
            if leaving is not None:
                leaving.abort()
            self._expect_a_request()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._watch is not None:
                self._watch.cancel()

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self.shares.use(self.transport)

        def on_response_complete(self) -> None:
            self._expect_a_request()
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP in the one shape."""
            self._refuse(400, msg)

        def _refuse(self, status: int, message: str, *more: tuple[bytes, bytes]) -> None:
            """Answer without the application, and close; where an answer is under way, just close."""
            body = json.dumps(error_data(status, message)).encode()
            head = [*_head(body), (b"connection", b"close"), *more]
            if self.cycle is not None:
                self.cycle.disconnected = True  # so that what the application still says goes nowhere
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                answer = h11.Response(status_code=status, headers=strict(head))
                for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _expect_a_request(self) -> None:
            self.shares.rest(self.transport)
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self.loop.call_later(QUIET_S, self._hang_up, self.cycle)

        def _hang_up(self, last: Any) -> None:
            """Close, if no request began since the last one: its head dribbles in, or a refused body runs on."""
            if self.cycle is last and self.transport.get_protocol() is self:
                self.transport.close()

    return Patient


def websocket_protocol(lines: Shares[Any]) -> type[Any]:
    """Return uvicorn's websockets with these limits, mute."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Mute(_Line, WebSocketsSansIOProtocol):
        shares = lines

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.logger = self.conn.logger = _MUTE
            self.conn.debug = False
            self.conn.reject = _in_one_shape(self.conn.reject)  # type: ignore[method-assign, assignment]

        def data_received(self, data: bytes) -> None:
            self.shares.use(self.transport)
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                # Uvicorn would wait for more, and what websockets have said would not be sent.
                said = b"".join(self.conn.data_to_send())
                self.transport.write(said or self.conn.reject(400, _NO_HANDSHAKE).serialize())
                self.transport.close()

        def handle_cont(self, event: Any) -> None:
            """Pass over pieces of nothing: a message may have any number of them, and all would be kept."""
            if event.data or event.fin:
                super().handle_cont(event)

        def handle_ping(self) -> None:
            """Answer, but not one who does not read: the answers would pile up."""
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.conn.data_to_send()

    return Mute


def _in_one_shape(reject: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return what makes the refusals that come from websockets themselves."""

    def refuse(status: Any, text: str) -> Any:
        made = reject(status, text)
        made.body = json.dumps(error_data(made.status_code, text.strip() or _NO_SOCKET)).encode()
        for name, value in strict(_head(made.body)):
            with contextlib.suppress(KeyError):
                del made.headers[name.decode()]
            made.headers[name.decode()] = value.decode()
        return made

    return refuse


def _head(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
