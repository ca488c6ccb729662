"""Hand things from thread to thread, bounded: a giver waits while it is full, or the oldest makes room for the newest.

Several givers have a lane each and are taken from in turn, so that a fast one does not starve the others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Stopped(BaseException):
    """The handover was stopped: what was in it is gone. It is no fault, so nobody may catch it as one."""


class Finished(BaseException):
    """Every giver has finished and all that they gave was taken."""


class Handover(Generic[Item]):
    """Hold at most ``depth`` things a lane, in order. ``told`` is called when there may be something to take."""

    def __init__(self, depth: int = 1, lanes: int = 1, told: Callable[[], object] | None = None) -> None:
        self._depth, self._told = depth, told
        self._lanes: tuple[deque[Item], ...] = tuple(deque() for _ in range(lanes))
        self._open = set(range(lanes))
        self._next = 0
        self._stopped = self._led = False
        self._wanted = 0
        self._lock = threading.Lock()
        self._given = threading.Condition(self._lock)
        self._gathered = threading.Condition(self._lock)
        self._taken = threading.Condition(self._lock)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def give(self, item: Item, lane: int = 0) -> None:
        """Wait until there is room, and give."""
        with self._lock:
            held = self._lanes[lane]
            while len(held) >= self._depth and not self._stopped:
                self._taken.wait()
            self._put(item, lane)

    def give_newest(self, item: Item, lane: int = 0) -> Item | None:
        """Give at once; where there is no room, the oldest of the lane makes it and is returned."""
        with self._lock:
            held = self._lanes[lane]
            dropped = held.popleft() if len(held) >= self._depth else None
            self._put(item, lane)
            return dropped

    def take(self, timeout_s: float | None = None) -> Item:
        """Wait for a thing and take it, lane after lane in turn; ``TimeoutError`` if none comes in time."""
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            while True:
                if self._stopped:
                    raise Stopped
                lane = self._lane_in_turn()
                if lane is not None:
                    item = self._lanes[lane].popleft()
                    self._taken.notify_all() if len(self._lanes) > 1 else self._taken.notify()
                    return item
                if not self._open:
                    raise Finished
                if not self._given.wait(None if ends is None else ends - time.monotonic()) and ends is not None:
                    raise TimeoutError

    def lead(self) -> None:
        """Wait until there is something to take and nobody else is about to; from then on the caller is, until ``led``.

        Of several that wait one is woken, and only if nobody leads: waking is what costs.
        """
        with self._lock:
            while True:
                if self._stopped:
                    raise Stopped
                if not any(self._lanes):
                    if not self._open:
                        raise Finished
                elif not self._led:
                    self._led = True
                    return
                self._given.wait()

    def led(self) -> None:
        """Let somebody else lead."""
        with self._lock:
            self._led = False
            if not self._open:
                self._given.notify_all()  # of those who waited behind the last leader, all have waited for nothing
            elif any(self._lanes):
                self._given.notify()

    def take_group(self, most: int, wait_s: float = 0.0) -> list[Item]:
        """Take what is there, one thing a lane at most, lane after lane in turn; who leads waits so long for more."""
        with self._lock:
            wanted = min(most, len(self._open))
            if wait_s and self._waiting() < wanted:
                ends, self._wanted = time.monotonic() + wait_s, wanted
                while self._waiting() < min(wanted, len(self._open)) and not self._stopped:
                    if not self._gathered.wait(ends - time.monotonic()):
                        break
                self._wanted = 0
            if self._stopped:
                raise Stopped
            group: list[Item] = []
            lanes = [(self._next + step) % len(self._lanes) for step in range(len(self._lanes))]
            for lane in lanes:
                if self._lanes[lane] and len(group) < most:
                    group.append(self._lanes[lane].popleft())
                    self._next = (lane + 1) % len(self._lanes)
            self._taken.notify_all() if len(self._lanes) > 1 else self._taken.notify()
            return group

    def _waiting(self) -> int:
        """Count the lanes in which something waits."""
        return sum(map(bool, self._lanes))

    def finish(self, lane: int = 0) -> None:
        """Say that this lane's giver will give no more."""
        with self._lock:
            self._open.discard(lane)
            self._tell(everybody=True)

    def stop(self) -> None:
        """Wake everybody who waits, on both sides; they get ``Stopped``."""
        with self._lock:
            self._stopped = True
            for held in self._lanes:
                held.clear()
            self._tell(everybody=True)
            self._taken.notify_all()

    def _put(self, item: Item, lane: int) -> None:
        if self._stopped:
            raise Stopped
        self._lanes[lane].append(item)
        self._tell()

    def _tell(self, *, everybody: bool = False) -> None:
        if everybody:
            self._given.notify_all()
            self._gathered.notify_all()
        elif self._wanted and self._waiting() >= self._wanted:
            self._gathered.notify()
        elif not self._led:
            self._given.notify()
        if self._told is not None:
            self._told()

    def _lane_in_turn(self) -> int | None:
        count = len(self._lanes)
        for step in range(count):
            lane = (self._next + step) % count
            if self._lanes[lane]:
                self._next = (lane + 1) % count
                return lane
        return None
