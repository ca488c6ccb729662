"""Follow targets over HTTP: the first picture of a run says where its target is, the next ones name the run.

A run ends when nothing was sent for a minute. Its name cannot be guessed, so nobody gets into another's. There are so
many and no more, and ``Shares`` deal them out: no client can keep the others from following anything. All of this
happens on the thread of the bundle's desk.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgevit.bundle import Bundle
from edgevit.errors import InputError, UnknownNameError
from edgevit.runtime import Frame, Track, Tracks, TrackSession
from edgevit.runtime.frame import Pixels

from ..web.shares import Shares
from .desk import FullError
from .shelf import Asked, Served

FORGET_S = 60.0
MOST_RUNS = 64
_WHAT = (
    "What shall be followed? Type: ?box=x,y,width,height (in the first picture) or ?point=x,y behind the address, and "
    "?run=RUN, which the answer says, with each next picture."
)
_FULL = (
    "All runs of '{0}' are taken, and no client has two more than you. One ends when nothing is sent to it for "
    f"{FORGET_S:.0f} s: send no more to one that is over, and ask again in {{1:.0f}} s."
)


@dataclass
class _Run:
    lane: TrackSession
    number: int
    count: int
    last_s: float


class Following(Served):
    """Hold a tracker's bundle and the runs that are going; each has a lane of the session."""

    def __init__(self, name: str, bundle: Bundle, session: TrackSession, depth: int) -> None:
        self._runs: dict[str, _Run] = {}
        self._shares: Shares[str] = Shares(MOST_RUNS)
        super().__init__(name, bundle, session, depth)

    @property
    def limits(self) -> str:
        """Say how many runs there can be, and when one ends."""
        return (
            f"There are at most {self._shares.most} runs at a time. One ends when nothing was sent to it for "
            f"{FORGET_S:.0f} s, or, when all are taken, to make room for a client that has fewer."
        )

    def _told(self, pixels: Pixels, asked: Asked) -> dict[str, Any]:
        self._forget_silent()
        name, run = self._wanted(asked)
        frame = Frame(pixels, "rgb", asked.asked_ns, run.count, "http")
        tracks = run.lane(frame) if run.count else Tracks((_started(run.lane, frame, asked.wish),), frame)
        run.count, run.last_s = run.count + 1, time.monotonic()
        if name not in self._runs:
            self._end(self._shares.enter(asked.client, name))
            self._runs[name] = run
        self._shares.use(name)
        data = tracks.to_dict()
        return {key: data[key] for key in ("task", "source", "index", "size_hw")} | {"run": name} | data

    def _wanted(self, asked: Asked) -> tuple[str, _Run]:
        """Return the run that is meant, or a new one, which counts when its first picture has been answered."""
        runs, wish = self._runs, asked.wish
        given = [key for key in ("box", "point", "run") if key in wish]
        if len(given) != 1:
            raise InputError(_WHAT)
        if given == ["run"]:
            if wish["run"] not in runs:
                raise UnknownNameError(f"There is no such run. {self.limits} Begin another: ?box=x,y,width,height")
            return wish["run"], runs[wish["run"]]
        if self._shares.full_for(asked.client):
            oldest_s = min(run.last_s for run in runs.values())
            raise FullError(self.name, max(1.0, oldest_s + FORGET_S - time.monotonic()), _FULL)
        number = min(set(range(1, len(runs) + 2)) - {run.number for run in runs.values()})
        return secrets.token_urlsafe(12), _Run(self._session.lane(number), number, 0, 0.0)

    def _forget_silent(self) -> None:
        until_s = time.monotonic() - FORGET_S
        for name in [name for name, run in self._runs.items() if run.last_s < until_s]:
            self._end(name)

    def _end(self, name: str | None) -> None:
        if name is not None:
            self._shares.leave(name)
            lane = self._runs.pop(name).lane
            for key in lane.ids:
                lane.stop(key)


def _started(lane: TrackSession, frame: Frame, wish: Mapping[str, str]) -> Track:
    if "point" in wish:
        x, y = _numbers(wish["point"], 2)
        return lane.start_at(frame, (x, y))
    x, y, w, h = _numbers(wish["box"], 4)
    return lane.start(frame, (x, y, x + w, y + h))


def _numbers(words: str, count: int) -> list[float]:
    try:
        found = [float(word) for word in words.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise InputError(f"'{words[:80]}' is not {count} numbers. {_WHAT}")
    return found
