"""Find out when a frame was captured that says only when it was taken on the sender's own clock.

The frame that came fastest tells how the two clocks stand; every other one is as much older as it came later. So what
has piled up on its way, in the sender, a socket or a decoder, counts as age, where the time of arrival would hide it.
The sender's clock may run slower than ours by a little; that much the comparison follows.
"""

from __future__ import annotations

_DRIFT = 200e-6
"""Crystals are wrong by up to a tenth of a thousandth, each."""


class StreamClock:
    """Turn presentation times into times on the clock of ``time.monotonic_ns``; one stream, one thread."""

    def __init__(self) -> None:
        self._ahead_ns: int | None = None
        self._last_sent_ns = 0
        self._last_now_ns = 0

    def captured_ns(self, sent_ns: int | None, now_ns: int) -> int:
        """Return when the frame was captured, never later than now; a frame without a time was captured just now."""
        if sent_ns is None:
            return now_ns
        ahead_ns = now_ns - sent_ns
        if self._ahead_ns is None or ahead_ns < self._ahead_ns or sent_ns < self._last_sent_ns:
            self._ahead_ns = ahead_ns  # the fastest so far, or a sender that began to count anew
        else:
            follow_ns = round(_DRIFT * (now_ns - self._last_now_ns))
            self._ahead_ns += min(ahead_ns - self._ahead_ns, follow_ns)
        self._last_sent_ns, self._last_now_ns = sent_ns, now_ns
        return sent_ns + self._ahead_ns
