"""Tell a tracker between two frames what to follow: from other threads, one order after the other, bounded.

The thread that answers frames carries the orders out before it takes the next frame, so none of them lands in the
middle of an answer. Where no frame comes, of a paused run or a camera that says nothing, whoever asked does it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Any, TypeVar

from edgevit.errors import UsageError

from .frame import Frame
from .pointing import box_at
from .stages import Job, Stage
from .tracker import TrackSession
from .tracks import Track, Tracks

Answer = TypeVar("Answer")

MOST_WAITING = 16
MOST_TARGETS = 8
"""Each target takes a run of the net a frame."""
_PATIENCE_S = 0.25
"""How long an order waits for a frame before it is carried out without one."""


class Orders:
    """Hold what is to be done between two frames."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()
        self._patience_s = patience_s

    def ask(self, work: Callable[[], Answer]) -> Answer:
        """Have it done, and return what it brings or raise what it raises."""
        told: Future[Answer] = Future()
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise UsageError(f"{MOST_WAITING} orders wait already; ask again in a moment.")
            self._waiting.append((told, work))
        try:
            return told.result(self._patience_s)
        except Late:
            if self._take_back(told):
                _carry_out(told, work)
            return told.result()

    def carry_out(self) -> None:
        """Do all that waits; the thread that answers frames calls this between two of them."""
        while self._waiting:
            with self._lock:
                order = self._waiting.popleft() if self._waiting else None
            if order is not None:
                _carry_out(*order)

    def _take_back(self, told: Future[Any]) -> bool:
        """Take an order away again, unless somebody has begun with it."""
        with self._lock:
            for order in self._waiting:
                if order[0] is told:
                    self._waiting.remove(order)
                    return True
        return False


class Steered:
    """Be a tracker for a pipeline, and let other threads name and drop its targets while it runs.

    Without any target the answers are empty ones, and frames go by. Each source has its lane of the session. While
    another model stands in for this one, the session hands on what it is told.
    """

    def __init__(self, session: TrackSession) -> None:
        self.session = session
        self.name = session.name
        self._orders = Orders()

    def stages(self) -> tuple[Stage, ...]:
        """Return the one stage of a tracker; it does what was ordered before it takes the next frame."""
        return (Stage("answer", self._answer),)

    def take_over(self, before: Any, lane: int) -> None:
        """Take the targets of a source back from what stood in."""
        self.session.take_over(before, lane)

    def ids(self, lane: int) -> tuple[int, ...]:
        """Return the targets that are followed in a source."""
        return self.session.lane(lane).ids

    def start(self, lane: int, frame: Frame, place: tuple[float, ...]) -> Track:
        """Follow what this frame of a source shows in a box (left, top, right, bottom) or at a point (x, y)."""
        if len(place) == 2:  # the guess takes long, so no frame waits for it
            x, y, w, h = box_at(frame, (place[0], place[1]))
            place = (x, y, x + w, y + h)
        return self._orders.ask(lambda: self._start(self.session.lane(lane), frame, place))

    def stop(self, lane: int, id: int) -> None:
        """Follow this target no longer."""
        self._orders.ask(lambda: self.session.lane(lane).stop(id))

    def _answer(self, job: Job) -> Tracks:
        self._orders.carry_out()
        return self.session.lane(job.lane)(job.frame)

    def _start(self, session: TrackSession, frame: Frame, box_xyxy: tuple[float, ...]) -> Track:
        if len(session.ids) >= MOST_TARGETS:
            raise UsageError(f"{MOST_TARGETS} targets are followed already, which is the most. Stop one of them first.")
        return session.start(frame, box_xyxy)


def _carry_out(told: Future[Any], work: Callable[[], Any]) -> None:
    try:
        told.set_result(work())
    except BaseException as exc:
        told.set_exception(exc)
