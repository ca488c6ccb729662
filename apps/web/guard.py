"""Stand before an application and let in only what may: one ASGI middleware for the page and for ``edgevit serve``.

In this order: how often the client asks (429), by which name it calls us (400, 421), whose page asks (403), the token
where one is set (401), how large the body is and how long it takes (413, 408). An application behind it never sees
the token: headers and query that held it are gone, so no log of anybody's can hold it either.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from edgevit.errors import UsageError

from .address import Address
from .answers import Refusal, refuse, respond, strict
from .hosts import Hosts, from_elsewhere, same_origin
from .intake import Intake
from .rate import Buckets, client_of
from .tokens import Keys, clean_path, without_token

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WRONG_TOKEN_COSTS = 10
_SECRET = (b"authorization", b"cookie")


@dataclass(frozen=True)
class Rules:
    """Say what a guard lets in. ``token`` None is for this machine alone; ``hosts`` are further names of the server."""

    address: Address
    token: str | None = None
    hosts: tuple[str, ...] = ()
    most_body_bytes: int = 16 << 20
    body_timeout_s: float = 20.0
    rate_per_s: float = 100.0
    burst: int = 400
    messages_per_s: float = 200.0
    """Of one websocket; who sends more is read more slowly."""

    def __post_init__(self) -> None:
        if self.token is None and not self.address.loopback:
            raise UsageError(f"{self.address} can be reached from other machines, so a token is needed.")


class Guard:
    """Wrap an application.

    ``log`` gets a line for each answer: client, method, path, status, milliseconds. ``note`` hears of its faults.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        *,
        log: Callable[[str], object] | None = None,
        note: Callable[[str], object] | None = None,
    ) -> None:
        self._app, self._rules = app, rules
        self._log, self._note = _unbroken(log), _unbroken(note)
        self._hosts = Hosts(rules.address, rules.hosts)
        self._keys = Keys(rules.token) if rules.token is not None else None
        self._buckets = Buckets(rules.rate_per_s, rules.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application do it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began_s, answer = time.monotonic(), _Answer(send)
        try:
            await self._judged(scope, receive, answer)
        finally:
            self._log(_line(scope, answer.status, time.monotonic() - began_s))

    async def _judged(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        asked = _Asked(scope)
        _clean(scope)
        refusal = self._frequency(asked) or self._name(asked) or self._origin(asked)
        if scope["type"] == "websocket":
            if refusal := refusal or self._token(asked):
                await refuse(scope, answer, refusal)
            else:
                await self._app(scope, _Slowed(receive, self._rules.messages_per_s), answer)
            return
        intake = Intake(scope, receive, answer, self._rules.most_body_bytes, self._rules.body_timeout_s)
        if refusal is None and self._invited(scope, asked):
            await self._welcome(scope, intake.send, asked)
        elif refusal := refusal or self._token(asked):
            await refuse(scope, intake.send, refusal)
        elif not await intake.announced_too_much():
            await self._answered(scope, intake, answer)

    async def _answered(self, scope: Scope, intake: Intake, answer: _Answer) -> None:
        try:
            await self._app(scope, intake, intake.send)
        except Exception as exc:
            if intake.over:  # the application was told that the client went, and said so
                return
            self._note(f"{scope['method']} {_shown(scope)} failed: {type(exc).__name__}: {exc}")
            if answer.complete:
                return
            if answer.status:
                raise  # cut off: the server closes the line, which is all that it still can tell
            await refuse(scope, intake.send, Refusal(500, "This is a bug in edgevit, please report it."))

    def _invited(self, scope: Scope, asked: _Asked) -> bool:
        """Tell whether a browser opens a page with the right token in its address."""
        return bool(self._keys and scope["method"] == "GET" and self._keys.opens_by_query(asked.query))

    def _frequency(self, asked: _Asked) -> Refusal | None:
        wait_s = self._buckets.wait_s(asked.client)
        if not wait_s:
            return None
        seconds = str(max(1, math.ceil(wait_s)))
        return Refusal(429, f"Too many requests came from here; ask again in {seconds} s.", {"retry-after": seconds})

    def _name(self, asked: _Asked) -> Refusal | None:
        if asked.host is None:
            return Refusal(400, "A request names the server that it asks, once, in the header Host.")
        if not self._hosts.knows(asked.host):
            return Refusal(
                421,
                f"This server is not known as '{asked.host[:80]}'. Use the address that it printed, or start it with "
                "--allow-host NAME.",
            )
        return None

    def _origin(self, asked: _Asked) -> Refusal | None:
        origin = asked.one(b"origin")
        elsewhere = from_elsewhere(asked.one(b"sec-fetch-site") or "", asked.one(b"sec-fetch-mode") or "")
        if elsewhere or (origin is not None and not same_origin(origin, asked.host or "")):
            return Refusal(403, "A page of another site asks; only this server's own pages may.")
        return None

    def _token(self, asked: _Asked) -> Refusal | None:
        if self._keys is None or self._keys.opens(asked.joined(b"authorization"), asked.joined(b"cookie"), asked.port):
            return None
        self._buckets.fine(asked.client, _WRONG_TOKEN_COSTS)
        return Refusal(
            401,
            "The token is missing or wrong. Send the header 'Authorization: Bearer TOKEN'; in a browser, open the "
            "address with ?token=TOKEN once.",
            {"www-authenticate": 'Bearer realm="edgevit"'},
        )

    async def _welcome(self, scope: Scope, send: Send, asked: _Asked) -> None:
        """Give a browser the cookie and send it to the address without the token.

        After a link on another site a redirect would still count as that site's doing, and a strict cookie would not
        go with it; a page that leads on does not.
        """
        assert self._keys is not None
        place = clean_path(scope["path"], asked.query)
        headers = {"set-cookie": self._keys.set_cookie(asked.port)}
        if asked.one(b"sec-fetch-site") in ("cross-site", "same-site"):
            page = f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(place)}">'
            await respond(scope, send, 200, {**headers, "content-type": "text/html; charset=utf-8"}, page.encode())
        else:
            await respond(scope, send, 303, {**headers, "location": place, "content-length": "0"})


def _unbroken(log: Callable[[str], object] | None) -> Callable[[str], None]:
    """Return a log whose reader may go away: no request shall fail for that."""

    def say(words: str) -> None:
        if log is not None:
            with contextlib.suppress(OSError):
                log(words)

    return say


class _Asked:
    """Hold what of a request is judged."""

    def __init__(self, scope: Scope) -> None:
        self._headers: list[tuple[bytes, bytes]] = [(key.lower(), value) for key, value in scope["headers"]]
        self.query: bytes = scope.get("query_string", b"")
        self.client = client_of((scope.get("client") or ("?",))[0])
        self.port = int((scope.get("server") or ("", 0))[1] or 0)
        self.host = self.one(b"host")

    def one(self, name: bytes) -> str | None:
        """Return the value of a header; None where it is absent, and what nothing equals where it is there twice."""
        found = [value for key, value in self._headers if key == name]
        if name == b"host" and len(found) != 1:
            return None
        return b", ".join(found).decode("latin-1") if found else None

    def joined(self, name: bytes) -> bytes:
        """Return the values of a header, one behind the other."""
        return b"; ".join(value for key, value in self._headers if key == name)


class _Answer:
    """Send on, with the strict headers, and remember how far it went."""

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.complete = send, 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            message = {**message, "headers": strict(message.get("headers", ()))}
        elif message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)


class _Slowed:
    """Read a websocket no faster than its rule."""

    def __init__(self, receive: Receive, per_s: float) -> None:
        self._receive, self._bucket = receive, Buckets(per_s, per_s)

    async def __call__(self) -> Message:
        while wait_s := self._bucket.wait_s(""):
            await asyncio.sleep(wait_s)
        return await self._receive()


def _clean(scope: Scope) -> None:
    """Take out what may hold a secret, in the server's own copy too: uvicorn writes queries into its log."""
    scope["headers"] = [(key, value) for key, value in scope["headers"] if key.lower() not in _SECRET]
    scope["query_string"] = without_token(scope.get("query_string", b""))


def _shown(scope: Scope) -> str:
    """Return the path, without the query and in plain letters: a log's line is one line."""
    return quote(str(scope["path"]), safe="/-._~")[:200]


def _line(scope: Scope, status: int, seconds: float) -> str:
    client = (scope.get("client") or ("?",))[0]
    return f"{client} {scope.get('method', 'WEBSOCKET')} {_shown(scope)} {status or '-'} {seconds * 1000:.0f} ms"
