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
        self._until_s = time.monotonic() + timeout_s
        told = dict(scope["headers"])
        self._length = _whole(told.get(b"content-length", b"0"))
        # Who expects to be asked for the body has not begun to send it.
        self._coming = (self._length > 0 or b"transfer-encoding" in told) and b"expect" not in told
        self._seen, self._ended = 0, False
        self.over = False

    async def announced_too_much(self) -> bool:
        """Refuse by Content-Length, before a byte is read."""
        if self._length <= self._most:
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
        self._count(message)
        if message["type"] != "http.request":
            self.over = True
            return message
        return message if self._seen <= self._most else await self._refuse(self._too_large())

    async def send(self, message: Message) -> None:
        """Send on, unless a refusal has gone out.

        Before an answer ends, the rest of the body runs out, for a while: a line that is closed under who is still
        sending takes the answer with it.
        """
        if self.over:
            return
        if message["type"] == "http.response.body" and not message.get("more_body", False) and self._comes_still():
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"The body is larger than {self._most} bytes, which are the most here.")

    async def _refuse(self, refusal: Refusal) -> Message:
        closing = Refusal(refusal.status, refusal.message, {**refusal.headers, "connection": "close"})
        await refuse(self._scope, self.send, closing)
        self.over = True
        return {"type": "http.disconnect"}

    def _comes_still(self) -> bool:
        return self._coming and not self._ended and time.monotonic() < self._until_s

    def _count(self, message: Message) -> None:
        self._seen += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)

    async def _drain(self) -> None:
        until_s, most = time.monotonic() + _LINGER_S, self._seen + _LINGER_BYTES
        while not self._ended and self._seen < most and (wait_s := until_s - time.monotonic()) > 0:
            try:
                self._count(await asyncio.wait_for(self._receive(), wait_s))
            except asyncio.TimeoutError:
                return


def _whole(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 10**19
