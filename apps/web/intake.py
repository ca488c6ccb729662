"""Read a request's body for an application, no more and no longer than the rules say, announced or not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .answers import Refusal, refuse

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

_LINGER_S = 2.0
_LINGER_BYTES = 64 << 20


class Intake:
    """Be the ``receive`` and the ``send`` of one request.

    When the body breaks a rule, the refusal goes out at once, and the application is told that the client has gone:
    whatever it then answers is dropped.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, most_bytes: int, timeout_s: float) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._most, self._timeout_s = most_bytes, timeout_s
        self._seen, self._ended = 0, False
        self._until_s = time.monotonic() + timeout_s
        self.over = False

    async def announced_too_much(self) -> bool:
        """Refuse by Content-Length, before a byte is read."""
        lengths = [value for name, value in self._scope["headers"] if name == b"content-length"]
        if not any(value.isdigit() and int(value) > self._most for value in lengths):
            return False
        await self._refuse(self._too_large())
        return True

    async def __call__(self) -> Message:
        """Return the next piece of the body; after it, wait for the client to go."""
        if self.over:
            return {"type": "http.disconnect"}
        if self._ended:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until_s - time.monotonic()))
        except asyncio.TimeoutError:
            return await self._refuse(Refusal(408, f"The body did not come within {self._timeout_s:g} s."))
        if message["type"] != "http.request":
            self.over = True
            return message
        self._seen += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message if self._seen <= self._most else await self._refuse(self._too_large())

    async def send(self, message: Message) -> None:
        """Send on, unless the refusal has gone out."""
        if not self.over:
            await self._send(message)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"The body is larger than {self._most} bytes, which are the most here.")

    async def _refuse(self, refusal: Refusal) -> Message:
        """Answer, then let the rest of the body run out: who is still sending would not read the answer otherwise."""
        self.over = True
        closing = Refusal(refusal.status, refusal.message, {**refusal.headers, "connection": "close"})
        await refuse(self._scope, self._send, closing, more=True)
        if not any(name == b"expect" for name, _ in self._scope["headers"]):  # that client has not begun to send
            await self._drain()
        await self._send({"type": "http.response.body", "body": b""})
        return {"type": "http.disconnect"}

    async def _drain(self) -> None:
        until_s, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
        while left > 0 and not self._ended and (wait_s := until_s - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), wait_s)
            except asyncio.TimeoutError:
                return
            left -= len(message.get("body", b""))
            self._ended = message["type"] != "http.request" or not message.get("more_body", False)
