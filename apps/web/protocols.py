"""Give uvicorn's protocols what they lack: an end to silent lines, a bound on their number, and loggers that are mute.

Uvicorn writes of requests with their query, and websockets, where a process debugs, with all their headers: a token
would be in both. The guard has a log of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from .answers import error_data, strict

QUIET_S = 10.0
"""How long a line may take for the head of a request."""
MOST_LINES = 256
_MUTE = logging.Logger("edgevit web", logging.CRITICAL + 1)
"""In no tree of loggers, so nobody's settings make it speak."""


def http_protocol() -> type[Any]:
    """Return uvicorn's HTTP protocol with these limits."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.logger = self.access_logger = _MUTE
            self.access_log = False
            self._watch: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > MOST_LINES:
                transport.abort()
            else:
                self._expect_a_request()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._watch is not None:
                self._watch.cancel()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._expect_a_request()

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP in the one shape."""
            body = json.dumps(error_data(400, msg)).encode()
            head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            headers = strict([*head, (b"connection", b"close")])
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _expect_a_request(self) -> None:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self.loop.call_later(QUIET_S, self._hang_up, self.cycle)

        def _hang_up(self, last: Any) -> None:
            """Close, if no request began since the last one: its head dribbles in, or a refused body runs on."""
            if self.cycle is last and self.transport.get_protocol() is self:
                self.transport.close()

    return Patient


def websocket_protocol() -> type[Any]:
    """Return uvicorn's websockets, mute."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Mute(WebSocketsSansIOProtocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.logger = self.conn.logger = _MUTE
            self.conn.debug = False

    return Mute
