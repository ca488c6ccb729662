"""Serve an application that shows what it was given, behind a guard on a port of this machine."""

from __future__ import annotations

from typing import Any

from web_asking import Client

from edgevit.apps.web.address import Address
from edgevit.apps.web.guard import Guard, Rules
from edgevit.apps.web.running import Listening, Running

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MOST = 1000
"""Bytes of a body."""


def mirror() -> Any:
    """Return an application that shows what it was given."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def show(request: Request) -> Response:
        return JSONResponse({"query": request.url.query, "headers": dict(request.headers)})

    async def count(request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def own(request: Request) -> Response:
        return Response("x", headers={"Cache-Control": "max-age=60"})

    async def broken(request: Request) -> Response:
        raise ValueError("a secret of the application")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/count", count, methods=["POST"]),
            Route("/own", own),
            Route("/broken", broken),
            WebSocketRoute("/echo", echo),
        ]
    )


class Served:
    """Run the mirror behind a guard with these rules; ``lines`` is all that was logged."""

    def __init__(self, address: Address | None = None, **rules: Any) -> None:
        self.lines: list[str] = []
        self._listening = Listening(address or Address())
        made = Rules(self._listening.address, **{"rate_per_s": 1e6, "burst": 10**6, "most_body_bytes": MOST, **rules})
        guard = Guard(mirror(), made, log=self.lines.append, note=self.lines.append)
        self.running = Running(guard, self._listening)
        self.port = self._listening.address.port
        self.client = Client(self.running.url)
        self.ask = self.client.ask

    def __enter__(self) -> Served:
        self.running.start()
        return self

    def __exit__(self, *what: object) -> None:
        self.client.close()
        assert self.running.stop()
