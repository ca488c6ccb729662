"""Speak with one browser: the newest picture after each one that arrived, states and replies between them.

One picture a source is under way at a time: the next is asked for when the browser says that it has the last one. So a
slow viewer gets fewer, never older ones; one that stops reading is owed a picture or two, and after a while is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from edgevit.errors import EdgevitError
from edgevit.runtime.frame import Frame

from .desk import Desk
from .hub import Hub, Shown
from .requests import MOST_LETTERS, ORDERS, read_request

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

SILENCE_S = 20.0
"""A viewer that was sent something and has said nothing at all for so long has gone."""
_REMEMBERED = 4
"""Frames a source that a box may be drawn on: the last ones that this viewer was sent."""
_MOST_ORDERS = 8
_MOST_WORDS = 64
"""Orders, and texts to it, that may wait; one more and a viewer is let go."""
_ORDERS_PER_S, _ORDERS_AT_ONCE = 5.0, 20.0
_TOO_FAST = "Too many orders came at once; slow down."


class Viewer:
    """Serve one websocket until either side has enough."""

    def __init__(self, socket: WebSocket, hub: Hub, desk: Desk, *, silence_s: float = SILENCE_S) -> None:
        self._socket, self._hub, self._desk = socket, hub, desk
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._pictures: dict[int, Shown] = {}
        self._words: deque[str] = deque()
        self._orders: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MOST_ORDERS)
        self._lanes: frozenset[int] = frozenset()
        self._last = [0] * len(hub.names)
        self._under_way: set[int] = set()
        self._seen: list[deque[tuple[int, Frame]]] = [deque(maxlen=_REMEMBERED) for _ in hub.names]
        self._owes_since_s: float | None = None
        self._left, self._left_at_s = _ORDERS_AT_ONCE, time.monotonic()
        self._over = ""

    def say(self, data: dict[str, Any]) -> None:
        """Send a text when there is time."""
        if len(self._words) >= _MOST_WORDS:
            self.end("it does not read")
            return
        self._words.append(json.dumps(data, ensure_ascii=False))
        self._changed.set()

    def end(self, why: str) -> None:
        """Let it go, after what was said to it."""
        self._over = self._over or why
        self._changed.set()

    async def serve(self) -> str:
        """Send, hear and obey until one of the three ends; return why."""
        tasks = [asyncio.ensure_future(work()) for work in (self._send, self._hear, self._obey, self._watch_the_clock)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.exception()  # whatever it was, this viewer has gone
        finally:
            self._hub.forget(self._take)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._over

    # ---- to the browser

    async def _send(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._words:
                await self._owing(self._socket.send_text(self._words.popleft()))
            for lane in sorted(self._pictures):
                shown = self._pictures.pop(lane)
                if lane in self._lanes:
                    self._last[lane] = shown.answer.number
                    self._seen[lane].append((shown.answer.number, shown.answer.frame))
                    self._owes_since_s = self._owes_since_s or time.monotonic()
                    await self._socket.send_bytes(shown.message)
                else:
                    self._under_way.discard(lane)
            if self._over and not self._words:
                return

    async def _owing(self, sending: Any) -> None:
        """Send a text; as long as that does not end, the viewer owes us its reading."""
        if self._owes_since_s is None:
            self._owes_since_s = time.monotonic()
            await sending
            self._owes_since_s = None
        else:
            await sending

    def _ask(self) -> None:
        for lane in self._lanes - self._under_way:
            self._under_way.add(lane)
            self._hub.ask(lane, self._last[lane], self._take)

    def _take(self, shown: Shown) -> None:
        """Take a picture; the hub's thread calls this."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and this viewer with it
            self._loop.call_soon_threadsafe(self._have, shown)

    def _have(self, shown: Shown) -> None:
        self._pictures[shown.answer.lane] = shown
        self._changed.set()

    # ---- from the browser

    async def _hear(self) -> None:
        while True:
            text = await self._socket.receive_text()
            if self._owes_since_s is not None:  # it lives; while it is drawn on, a picture stands still
                self._owes_since_s = time.monotonic()
            if len(text) > MOST_LETTERS:
                self.end("its message is too long")
                return
            ask = 0
            try:
                request = read_request(text)
                ask = request["ask"]
                self._obey_at_once(request)
            except EdgevitError as exc:
                self.say({"type": "reply", "ask": ask, "ok": False, "message": str(exc)})

    def _obey_at_once(self, request: dict[str, Any]) -> None:
        kind = request["do"]
        if kind == "shown":
            self._owes_since_s = None
            if request["lane"] < len(self._last) and request["number"] == self._last[request["lane"]]:
                self._under_way.discard(request["lane"])
            self._ask()
        elif kind == "watch":
            self._lanes = frozenset(lane for lane in request["lanes"] if lane < len(self._last))
            self._ask()
        elif kind == "clock":
            self.say({"type": "clock", "t": request["t"], "server_ms": time.monotonic_ns() / 1e6})
        elif kind in ORDERS:
            self._order(request)

    def _order(self, request: dict[str, Any]) -> None:
        now_s = time.monotonic()
        self._left = min(_ORDERS_AT_ONCE, self._left + (now_s - self._left_at_s) * _ORDERS_PER_S)
        self._left_at_s = now_s
        if self._left < 1 or self._orders.full():
            self.say({"type": "reply", "ask": request["ask"], "ok": False, "message": _TOO_FAST})
            return
        self._left -= 1
        self._orders.put_nowait(request)

    async def _obey(self) -> None:
        while True:
            request = await self._orders.get()
            self.say(await asyncio.to_thread(self._desk.do, request, self._look))

    async def _watch_the_clock(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._silence_s / 4))
            owes = self._owes_since_s
            if owes is not None and time.monotonic() - owes > self._silence_s:
                self._over = self._over or "it does not read"
                return

    def _look(self, lane: int, number: int) -> Frame | None:
        """Return the frame that this viewer sees as this picture."""
        return next((frame for seen, frame in list(self._seen[lane]) if seen == number), None)
