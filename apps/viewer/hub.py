"""Hold the newest answer of each source, and make a picture of it when a viewer asks for one.

Whoever writes only puts an answer down: nothing is encoded, copied or sent there. Viewers ask for a picture newer than
their last one; a thread of the hub encodes the newest frame once, for all who wait, and for nobody it encodes nothing.
So a viewer that is slow, or never reads, costs less than a fast one, and keeps no frame but those it was sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevit.decoders import encode_jpeg
from edgevit.kernels import resize
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Result

from .message import Picture, pack

MOST_FPS = 25.0
LONGEST_PX = 1280
QUALITY = 78
_SHARE = 0.5
"""Of a core that encoding takes at most, so that a small board goes on answering."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Hold one frame and what was answered for it. ``born_ns`` is on the clock of ``time.monotonic_ns``."""

    number: int
    lane: int
    frame: Frame
    result: Result
    born_ns: int
    answered_ms: float


@dataclass(frozen=True, eq=False)
class Shown:
    """Hold a picture as it is sent, and the answer that it shows."""

    answer: Answer
    message: bytes


Taker = Callable[[Shown], object]


@dataclass
class _Lane:
    newest: Answer | None = None
    shown: Shown | None = None
    asking: list[tuple[int, Taker]] = field(default_factory=list)
    due_s: float = 0.0


class Hub:
    """Hold the lanes of one run, one a source. ``close`` ends its thread."""

    def __init__(self, names: Sequence[str], *, most_fps: float = MOST_FPS, longest_px: int = LONGEST_PX) -> None:
        self.names = tuple(names)
        self.encoded = 0
        self._lanes = tuple(_Lane() for _ in names)
        self._period_s, self._longest_px = 1 / most_fps, longest_px
        self._count = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="edgevit page pictures", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, result: Result, lane: int, born_ns: int) -> Answer:
        """Put the newest answer of a lane down; the one before it is forgotten."""
        age_ms = (time.monotonic_ns() - born_ns) / 1e6
        with self._changed:
            self._count += 1
            answer = Answer(self._count, lane, frame, result, born_ns, age_ms)
            held = self._lanes[lane]
            held.newest = answer
            if held.asking:
                self._changed.notify()
        return answer

    def newest(self, lane: int) -> Answer | None:
        """Return the newest answer of a lane, if it has had one."""
        return self._lanes[lane].newest

    def ask(self, lane: int, after: int, take: Taker) -> None:
        """Hand the next picture whose number is above ``after`` to ``take``, once, on the hub's thread or at once."""
        held = self._lanes[lane]
        with self._changed:
            ready = held.shown
            if ready is None or ready.answer.number <= after or ready.answer is not held.newest:
                held.asking.append((after, take))
                self._changed.notify()
                return
        take(ready)

    def forget(self, take: Taker) -> None:
        """Hand nothing to this taker any more."""
        with self._changed:
            for held in self._lanes:
                held.asking = [asked for asked in held.asking if asked[1] != take]

    def close(self) -> None:
        """Encode nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(5)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (held := self._next()) is None:
                    self._changed.wait(self._rest_s())
                if self._closed or held is None or held.newest is None:
                    return
                answer = held.newest
                takers = [take for after, take in held.asking if answer.number > after]
                held.asking = [asked for asked in held.asking if answer.number <= asked[0]]
            began_s = time.monotonic()
            shown = held.shown if held.shown and held.shown.answer is answer else Shown(answer, self._message(answer))
            took_s = time.monotonic() - began_s
            with self._changed:
                held.shown = shown
                held.due_s = began_s + max(self._period_s, took_s / _SHARE)
            for take in takers:
                take(shown)

    def _next(self) -> _Lane | None:
        """Return the lane that has waited longest for a picture that can be made now."""
        now_s = time.monotonic()
        due = [held for held in self._lanes if self._wanted(held) and held.due_s <= now_s]
        return min(due, key=lambda held: held.due_s, default=None)

    def _rest_s(self) -> float | None:
        wanted = [held.due_s for held in self._lanes if self._wanted(held)]
        return max(0.0, min(wanted) - time.monotonic()) if wanted else None

    def _wanted(self, held: _Lane) -> bool:
        return held.newest is not None and any(held.newest.number > after for after, _ in held.asking)

    def _message(self, answer: Answer) -> bytes:
        self.encoded += 1
        header: dict[str, Any] = {
            "lane": answer.lane,
            "number": answer.number,
            "index": answer.frame.index,
            "source": answer.frame.source,
            "size_hw": list(answer.frame.size_hw),
            "captured_ms": round(answer.born_ns / 1e6, 3),
            "answered_ms": round(answer.answered_ms, 2),
        }
        try:
            header["result"] = answer.result.to_dict()
            return pack(Picture(header, jpeg_of(answer.frame, self._longest_px)))
        except Exception as exc:  # a viewer is told; the run goes on without its picture
            header["result"] = {}
            return pack(Picture({**header, "fault": f"This picture cannot be shown: {exc}"}, b""))


def jpeg_of(frame: Frame, longest_px: int = LONGEST_PX) -> bytes:
    """Return the frame as a JPEG, its longer side scaled down to so many pixels if it has more."""
    rgb = frame.to_rgb()
    height, width = rgb.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1:
        rgb = resize(rgb, (max(1, round(height * scale)), max(1, round(width * scale))))
    return encode_jpeg(rgb, QUALITY)
