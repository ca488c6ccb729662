"""Build the web application: the paths of ``schema.py``, each answered, and every error in the one shape.

Engines run on their own threads; the event loop only waits for them, and lets go when the client does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edgevit.errors import EdgevitError, UnknownNameError, UsageError
from edgevit.registry import unknown_name

from ..web.answers import error_data
from ..web.rate import client_of
from .desk import FullError
from .figures import Figures
from .kinds import KINDS, UNSAID
from .page import page, static
from .schema import document
from .shelf import Answered, Asked, Served, Shelf

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

BUG = "This is a bug in edgevit, please report it."


@dataclass
class Front:
    """Hold what the paths answer from. ``note`` hears of faults that no client can mend."""

    shelf: Shelf
    timeout_s: float
    most_body_bytes: int
    token: bool = False
    note: Callable[[str], object] | None = None
    stopping: bool = False
    figures: Figures = field(init=False)

    def __post_init__(self) -> None:
        self.figures = Figures(self.shelf)


def application(front: Front) -> Starlette:
    """Return the application; a ``Guard`` stands before it."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    described = document(front.shelf, token=front.token, most_body_bytes=front.most_body_bytes)
    shown = page(described)

    async def ask(request: Request) -> Response:
        return await _ask(front, request)

    async def bundles(request: Request) -> Response:
        return JSONResponse(listing(front.shelf))

    async def health(request: Request) -> Response:
        told = _health(front)
        return JSONResponse(told, 200 if told["ready"] else 503)

    async def openapi(request: Request) -> Response:
        return JSONResponse(described)

    async def metrics(request: Request) -> Response:
        return Response(front.figures.text(), media_type=front.figures.media_type)

    async def home(request: Request) -> Response:
        return HTMLResponse(shown)

    def file(name: str, media_type: str) -> Route:
        async def send(request: Request) -> Response:
            return Response(static(name), media_type=media_type)

        return Route(f"/{name}", send)

    async def refused(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        message = exc.detail
        if exc.status_code == 404:
            message = str(unknown_name("path", request.url.path, described["paths"], ask="GET /openapi.json"))
        elif exc.status_code == 405:
            message = f"{request.url.path} is not for {request.method}. Type: GET /openapi.json"
        return _error(exc.status_code, message, exc.headers)

    async def failed(request: Request, exc: Exception) -> Response:
        return _error(500, BUG)

    routes = [
        Route("/v1/{name}", ask, methods=["POST"]),
        Route("/v1", bundles),
        Route("/health", health),
        Route("/openapi.json", openapi),
        Route("/metrics", metrics),
        file("page.css", "text/css"),
        file("page.js", "text/javascript"),
        Route("/", home),
    ]
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]]
    handlers = {HTTPException: refused, Exception: failed}
    made = Starlette(routes=routes, exception_handlers=handlers)
    made.router.redirect_slashes = False
    return made


def listing(shelf: Shelf) -> dict[str, Any]:
    """Return what ``GET /v1`` says."""
    return {
        "bundles": [_listed(one) for one in shelf.served.values()],
        "refused": [{"name": name, "why": why} for name, why in shelf.refused.items()],
    }


def _listed(one: Served) -> dict[str, Any]:
    m = one.bundle.manifest
    return {
        "name": one.name,
        "path": f"/v1/{quote(one.name, safe='')}",
        "model": m.model,
        "task": m.task,
        "format": m.format,
        "precision": m.precision,
        "engine": one.engine,
        "proof": {name: graph.proven() for name, graph in m.graphs.items()},
        "passed": bool(m.verification.get("passed")),
        "trained": m.trained,
        "labels": len(m.spec.labels),
    }


def _health(front: Front) -> dict[str, Any]:
    hanging = [name for name, one in front.shelf.served.items() if one.desk.busy_s() > front.timeout_s]
    return {
        "live": True,
        "ready": not front.stopping and len(hanging) < len(front.shelf.served),
        "served": len(front.shelf.served),
        "refused": len(front.shelf.refused),
        "hanging": hanging,
    }


async def _ask(front: Front, request: Request) -> Response:
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    name = request.path_params["name"]
    one = front.shelf.served.get(name)
    if one is None:
        return _error(404, _unknown(front.shelf, name))
    began_ns = time.monotonic_ns()
    said = request.headers.get("content-type", UNSAID[0]).partition(";")[0].strip().lower()
    if said not in (*KINDS, *UNSAID):
        answer = _error(415, _WRONG_TYPE.format(said[:80], name))
    else:
        try:
            client = client_of(request.client.host if request.client else "?")
            body = await one.arrived(client, request.body())
            told = await _answered(front, one, request, Asked(body, began_ns, client, request.query_params))
        except ClientDisconnect:
            raise  # it hung up, or the guard has answered already
        except ConnectionAbortedError:
            front.figures.answered(name, "gone")
            return Response(status_code=504)  # nobody reads it
        except Exception as exc:
            answer = _fault(front, one, exc)
        else:
            answer = JSONResponse(told.data, headers={"server-timing": _timing(told)})
            front.figures.told(name, told, (time.monotonic_ns() - began_ns) / 1e9)
    front.figures.answered(name, answer.status_code)
    return answer


async def _answered(front: Front, one: Served, request: Request, asked: Asked) -> Answered:
    """Wait for the answer, no longer than is allowed, and no longer than the client does."""
    queued = one.desk.ask(asked.client, asked)
    future = asyncio.wrap_future(queued)
    gone = asyncio.ensure_future(request.receive())
    both: set[asyncio.Future[Any]] = {future, gone}
    try:
        await asyncio.wait(both, timeout=front.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            queued.cancel()  # at once, before its turn comes
            future.cancel()
            raise ConnectionAbortedError if gone.done() else asyncio.TimeoutError
        return future.result()
    finally:
        gone.cancel()


def _fault(front: Front, one: Served, exc: Exception) -> Response:
    """Say what went wrong: to the client what it can mend, to the log what it cannot."""
    if isinstance(exc, FullError):
        return _error(503, str(exc), {"Retry-After": f"{exc.wait_s:.0f}"})
    if isinstance(exc, asyncio.TimeoutError):
        return _error(504, f"'{one.name}' did not answer within {front.timeout_s:g} s.")
    if isinstance(exc, UnknownNameError):
        return _error(404, str(exc))
    if isinstance(exc, UsageError):
        return _error(422, str(exc))
    if front.note is not None:
        front.note(f"{one.name}: {type(exc).__name__}: {exc}")
    where = f"{one.bundle.path.parent}/"
    return _error(500, str(exc).replace(where, "") if isinstance(exc, EdgevitError) else BUG)


def _unknown(shelf: Shelf, name: str) -> str:
    if name in shelf.refused:
        return f"'{name}' is not served: {shelf.refused[name]}"
    near: UnknownNameError = unknown_name("bundle", name, shelf.served, ask="GET /v1")
    return str(near)


def _error(status: int, message: str, headers: Any = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(error_data(status, message), status, headers=dict(headers or {}))


def _timing(told: Answered) -> str:
    speed = told.data["speed"]
    parts = {"wait": told.waited_ms, "decode": told.decoded_ms, **speed}
    return ", ".join(f"{name};dur={value:.1f}" for name, value in parts.items())


_WRONG_TYPE = (
    "A body of the type '{}' is not taken. Send the picture's own bytes: curl --data-binary @picture.jpg "
    "-H 'Content-Type: image/jpeg' URL/v1/{}"
)
