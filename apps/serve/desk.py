"""Queue the work for one engine: bounded, fair between clients, one piece at a time on a thread of its own.

Clients take turns, whoever has how much waiting. When the queue is full, who has two less in it than another takes the
last place of whom has most; everybody else is sent away at once, since a queue that only grows answers nobody.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from edgevit.errors import EdgevitError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


_WAITING = "'{0}' has as many requests waiting as it may have; ask again in {1:.0f} s."


class FullError(EdgevitError):
    """There is no place. ``wait_s`` is a guess at when there is one; ``words`` tell both."""

    def __init__(self, name: str, wait_s: float, words: str = _WAITING) -> None:
        super().__init__(words.format(name, wait_s))
        self.wait_s = wait_s


class Desk(Generic[Item, Answer]):
    """Do ``work`` for one item after another. A future that is cancelled before its turn is passed over."""

    def __init__(self, name: str, work: Callable[[Item], Answer], *, depth: int) -> None:
        self.name, self._work, self._depth = name, work, depth
        self._waiting: OrderedDict[str, deque[tuple[Item, Future[Answer]]]] = OrderedDict()
        self._count, self._open = 0, True
        self._began_s: float | None = None
        self._takes_s = 0.0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name=f"edgevit serve {name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._count

    def busy_s(self) -> float:
        """Return for how long the work at hand has been going; 0 where there is none."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def ask(self, client: str, item: Item) -> Future[Answer]:
        """Queue an item, or raise ``FullError``."""
        future: Future[Answer] = Future()
        with self._changed:
            if not self._open:
                raise FullError(self.name, 1.0)
            if self._count >= self._depth:
                self._make_room(client)
            self._waiting.setdefault(client, deque()).append((item, future))
            self._count += 1
            self._changed.notify()
        return future

    def close(self, timeout_s: float) -> bool:
        """Take nothing new, send away who waits, and tell whether the work at hand ended in time."""
        with self._changed:
            self._open = False
            left = [future for queue in self._waiting.values() for _, future in queue]
            self._waiting.clear()
            self._count = 0
            self._changed.notify()
        for future in left:
            _fail(future, FullError(self.name, 1.0))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _make_room(self, client: str) -> None:
        self._pass_over_cancelled()
        if self._count < self._depth:
            return
        most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=client)
        if len(self._waiting.get(most, ())) < len(self._waiting.get(client, ())) + 2:
            raise FullError(self.name, self._guess_s())
        _, sent_away = self._waiting[most].pop()
        self._count -= 1
        _fail(sent_away, FullError(self.name, self._guess_s()))

    def _pass_over_cancelled(self) -> None:
        for client, queue in list(self._waiting.items()):
            kept = deque(pair for pair in queue if not pair[1].cancelled())
            self._count -= len(queue) - len(kept)
            if kept:
                self._waiting[client] = kept
            else:
                del self._waiting[client]

    def _guess_s(self) -> float:
        return max(1.0, self._count * self._takes_s)

    def _next(self) -> tuple[Item, Future[Answer]] | None:
        with self._changed:
            while self._open and not self._waiting:
                self._changed.wait()
            if not self._waiting:
                return None
            client, queue = self._waiting.popitem(last=False)
            pair = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind all others
            self._count -= 1
            return pair

    def _serve(self) -> None:
        while (pair := self._next()) is not None:
            item, future = pair
            if not future.set_running_or_notify_cancel():
                continue
            began_s = self._began_s = time.monotonic()
            try:
                future.set_result(self._work(item))
            except BaseException as exc:
                future.set_exception(exc)
            finally:
                spent_s = time.monotonic() - began_s
                self._takes_s = spent_s if not self._takes_s else 0.8 * self._takes_s + 0.2 * spent_s
                self._began_s = None


def _fail(future: Future[Answer], exc: Exception) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(exc)
