"""Be a source that does not end: what stops, freezes or fails is opened again after ever longer pauses, and counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from edgevit.errors import InputError

from ..frame import Frame

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
_REMEMBERED = 32


class Feed(Protocol):
    """One connection to a camera or a stream."""

    def frames(self, index: int) -> Iterator[Frame]:
        """Yield frames numbered from ``index`` on; raise an InputError that says why there are no more."""

    def close(self) -> None:
        """Let go of it."""


class Live:
    """Yield frames as they come. ``reconnects`` counts how often it came back, ``faults`` why it had gone.

    With ``hurry`` what would only grow old in front of a slow decoder is left out, and counted in ``left_out``.

    The first connection is made at once, so that a mistake is told to who made it and not to a loop that goes on for
    ever. ``retries`` is how many times in a row a lost one is tried again, None for always.
    """

    live = True
    total: int | None = None

    def __init__(self, name: str, open_feed: Callable[[], Feed], *, retries: int | None = None) -> None:
        self.name = name
        self.faults: deque[str] = deque(maxlen=_REMEMBERED)
        self.reconnects = 0
        self.hurry = False
        self._left_out = 0
        self._open_feed, self._retries = open_feed, retries
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._reading: Feed | None = None
        self._feed: Feed | None = self._opened()

    def __iter__(self) -> Iterator[Frame]:
        index = tries = 0
        while not self._closed.is_set():
            try:
                feed = self._reading = self._first() or self._opened()
                try:
                    if hasattr(feed, "hurry"):
                        feed.hurry = self.hurry
                    for frame in feed.frames(index):
                        self.reconnects += tries > 0
                        index, tries = frame.index + 1, 0
                        yield frame
                        if self._closed.is_set():
                            return
                finally:
                    self._left_out, self._reading = self.left_out, None
                    feed.close()
                self.faults.append(f"{self.name} ended.")
            except InputError as exc:
                self.faults.append(str(exc))
            if self._retries is not None and tries >= self._retries:
                raise InputError(f"{self.faults[-1]} It was tried again {tries} times in vain.")
            self._closed.wait(min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S))
            tries += 1

    @property
    def left_out(self) -> int:
        """How many pictures came and were never decoded."""
        return self._left_out + int(getattr(self._reading, "left_out", 0))

    def close(self) -> None:
        self._closed.set()
        feed = self._first()
        if feed is not None:  # nobody has begun to read it
            feed.close()

    def _opened(self) -> Feed:
        """Make a connection; what it has to say for itself (its ``note``, if it has one) is told once."""
        feed = self._open_feed()
        note = getattr(feed, "note", "")
        if note and note not in self.faults:
            self.faults.append(note)
        return feed

    def _first(self) -> Feed | None:
        """Take the connection that was made at once; of a loop and a ``close`` in another thread only one gets it."""
        with self._lock:
            feed, self._feed = self._feed, None
        return feed
