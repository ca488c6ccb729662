"""Say which packets of a live stream are worth decoding when decoding falls behind.

What piles up in front of a slow decoder would make every later answer older. A picture can only be left out with all
that build on it, up to the next key picture. So that is done when the stream is behind and the next key picture must be
here already, by the pace at which they come: jumping to it takes no time without pictures. The newest one is taken.
"""

from __future__ import annotations

from collections import deque

from .stream_clock import StreamClock

_LEAST_NS = 500_000_000
"""So little behind is no reason to leave anything out: a busy moment passes."""


class CatchingUp:
    """Look at each packet before it is decoded; one stream, one thread. ``left_out`` counts what was not decoded."""

    def __init__(self) -> None:
        self.left_out = 0
        self._clock = StreamClock()
        self._last_key_ns: int | None = None
        self._apart_ns: deque[int] = deque(maxlen=8)
        self._skipping = False

    def worth(self, sent_ns: int | None, now_ns: int, *, key: bool) -> bool:
        """Tell whether to decode a packet that the sender dated so; what has no date is decoded."""
        if sent_ns is None:
            return True
        behind_ns = now_ns - self._clock.captured_ns(sent_ns, now_ns)
        if key:
            if self._last_key_ns is not None and sent_ns > self._last_key_ns:
                self._apart_ns.append(sent_ns - self._last_key_ns)
            self._last_key_ns = sent_ns
        self._skipping = self._newer_key_is_here(sent_ns, behind_ns, key=key)
        self.left_out += self._skipping
        return not self._skipping

    def _newer_key_is_here(self, sent_ns: int, behind_ns: int, *, key: bool) -> bool:
        if self._last_key_ns is None or not self._apart_ns:
            return False
        due_in_ns = self._last_key_ns + max(self._apart_ns) - sent_ns
        if self._skipping:
            return not key or behind_ns > due_in_ns
        return behind_ns > max(_LEAST_NS, due_in_ns)
