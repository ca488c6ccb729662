"""Answer what is refused in one shape, ``{"error", "message", "status"}``, and give every answer strict headers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
STRICT: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), usb=(), payment=(), display-capture=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""An application may set one of these itself; what it does not set is added."""


_NAMES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Older Pythons have other phrases for these."""


@dataclass(frozen=True)
class Refusal:
    """Hold why a request gets nothing."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def error_data(status: int, message: str) -> dict[str, Any]:
    """Return the one shape of errors."""
    return {"error": _NAMES.get(status) or HTTPStatus(status).phrase, "message": message, "status": status}


def strict(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add the strict headers that are not there."""
    kept = list(headers)
    there = {name.lower() for name, _ in kept}
    return [*kept, *(pair for pair in STRICT if pair[0] not in there)]


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Send a refusal, to a websocket that was not accepted too."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})
        return
    body = json.dumps(error_data(refusal.status, refusal.message), ensure_ascii=False).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    await respond(scope, send, refusal.status, headers, body)


async def respond(scope: Scope, send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send a whole answer."""
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    start: Message = {"type": f"{prefix}.response.start", "status": status, "headers": strict(pairs)}
    await send(start)
    await send({"type": f"{prefix}.response.body", "body": body})
