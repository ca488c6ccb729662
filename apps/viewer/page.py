"""Join hub, desk, board and log into one application: the page's files, the log, and a websocket a viewer.

The page itself is ``static/``: no build step, nothing from elsewhere, and all of it under ``default-src 'self'``.
Every file there is served, ``index.html`` as ``/`` and each other one by its name.
Starlette is imported when an application is made; ``edgevit/apps/web`` guards it and gives it an address.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit import __version__
from edgevit.errors import missing
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.results import Result
from edgevit.runtime.sinks import Sink
from edgevit.runtime.steering import Steered

from ..web.rate import client_of
from ..web.shares import Shares
from .board import Board
from .desk import Desk
from .hub import Hub
from .log import Log
from .recorder import Recorder
from .watching import SILENCE_S, Viewer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

MOST_VIEWERS = 16
_SECOND_S = 1.0
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_STATIC = Path(__file__).parent / "static"
_TRY_AGAIN, _GOING_AWAY = 1013, 1001


class Page:
    """Be a sink of a run, and the application that shows it.

    ``names`` are the sources', ``title`` and ``task`` the model's; ``steered`` is the model where it can be told what
    to follow. Put ``sinks`` into the pipeline, then serve ``application(pipeline)``; ``close`` when all is over.
    """

    place = "page"

    def __init__(
        self,
        names: Sequence[str],
        *,
        title: str,
        task: str,
        record_dir: Path,
        steered: Steered | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.hub, self.log = Hub(names), Log(names)
        self.recorder = Recorder(record_dir, names)
        self._about = {"title": title, "task": task, "version": __version__, "sources": list(names)}
        self._steered, self._silence_s = steered, silence_s
        self._viewers: Shares[Viewer] = Shares(MOST_VIEWERS)
        self._log_is_told = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Return what the pipeline writes to."""
        return self, self.recorder

    def write(self, frame: Frame, result: Result) -> None:
        """Take an answer of the only source."""
        self.write_from(frame, result, lane=0, born_ns=frame.captured_ns)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Take an answer; the pictures are made elsewhere, if anybody watches."""
        answer = self.hub.put(frame, result, lane, born_ns)
        self.log.add(result, lane, answer.answered_ms)

    def close(self) -> None:
        """End as a sink; what was shown last stays to be seen until the server stops."""

    def finish(self, why: str) -> None:
        """Tell all viewers that the run is over, and make no more pictures; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._dismiss, why)
        self.hub.close()

    def application(self, pipeline: Pipeline) -> Starlette:
        """Return the application, to be served once."""
        try:
            from starlette.applications import Starlette
            from starlette.routing import Route, WebSocketRoute
        except ImportError as exc:
            raise missing("starlette", "The page", "serve") from exc
        lanes = len(self.hub.names)
        desk = Desk(pipeline, self._steered, self.recorder, lanes)
        board = Board(pipeline, desk, self.recorder)

        async def live(socket: WebSocket) -> None:
            await self._serve(socket, desk, board)

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self._loop = asyncio.get_running_loop()
            beat = asyncio.create_task(self._beat(board))
            yield
            beat.cancel()
            self._loop = None

        served = [file for file in _STATIC.iterdir() if file.suffix in _KINDS]
        files = [Route(_path(file), _sender(file), methods=["GET"]) for file in served]
        routes = [*files, Route("/log.jsonl", self._send_log, methods=["GET"]), WebSocketRoute("/live", live)]
        return Starlette(routes=routes, lifespan=lifespan)

    async def _serve(self, socket: WebSocket, desk: Desk, board: Board) -> None:
        await socket.accept()
        client = client_of(socket.client.host if socket.client else "")
        if self._viewers.full_for(client):
            await socket.close(_TRY_AGAIN, f"{MOST_VIEWERS} viewers watch already")
            return
        viewer = Viewer(socket, self.hub, desk, silence_s=self._silence_s)
        if (leaving := self._viewers.enter(client, viewer)) is not None:
            leaving.end("somebody who watched with less has its place")
        viewer.say({"type": "hello", **self._about, "history": list(board.history)})
        try:
            why = await viewer.serve()
        finally:
            self._viewers.leave(viewer)
        with contextlib.suppress(Exception):  # it has gone, or does not read: nothing is owed to it
            await asyncio.wait_for(socket.close(_GOING_AWAY, why), _SECOND_S)

    async def _beat(self, board: Board) -> None:
        while True:
            await asyncio.sleep(_SECOND_S)
            state = await asyncio.to_thread(board.sample, len(self._viewers))  # it may wait for an answer to end
            for viewer in self._viewers:
                viewer.say(state)

    async def _send_log(self, request: Request) -> Response:
        from starlette.responses import Response

        headers = {"content-disposition": 'attachment; filename="edgevit-log.jsonl"'}
        async with self._log_is_told:  # it takes the run's time, so who asks a hundred times waits for himself
            text = await asyncio.to_thread(self.log.text)
        return Response(text, media_type="application/x-ndjson", headers=headers)

    def _dismiss(self, why: str) -> None:
        for viewer in self._viewers:
            viewer.say({"type": "end", "why": why})
            viewer.end("the run is over")


def _path(file: Path) -> str:
    return "/" if file.name == "index.html" else f"/{file.name}"


def _sender(file: Path) -> Any:
    """Return what answers with this file, read once."""
    content, kind = file.read_bytes(), _KINDS[file.suffix]

    async def send(request: Request) -> Response:
        from starlette.responses import Response

        return Response(content, headers={"content-type": kind})

    return send
