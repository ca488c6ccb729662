"""Read sources, a thread each, and say which frames are next: of a live source the newest, if it is worth an answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from edgevit.errors import UsageError

from .deadline import Deadline
from .frame import Frame, frame_of
from .handover import Handover
from .ledger import Ledger
from .pacing import Pace
from .sources import let_go
from .stages import Job

_WAITING = 2
"""Frames of a source that may wait where every one counts."""
_GATHER_S = 0.002
"""How long a group waits for more frames: what one camera's frame is later than another's, not a share of a period."""


class Intake:
    """Hold the sources of one run. ``hurry`` lets a live source's frame give way to the next one.

    ``most`` frames of different sources are answered together. ``failed`` hears what a source raises.
    """

    def __init__(
        self,
        sources: Sequence[Any],
        ledger: Ledger,
        pace: Pace,
        deadline: Deadline | None,
        *,
        failed: Callable[[BaseException], None],
        hurry: bool,
        most: int = 1,
        color: str | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self._ledger, self._pace, self._deadline = ledger, pace, deadline
        self._failed, self._hurry, self._color = failed, hurry, color
        self._most = min(most, len(self.sources))
        self._frames: Handover[Job] = Handover(1 if hurry else _WAITING, len(self.sources))
        self._ended = [False for _ in self.sources]
        for source in self.sources:
            if hurry and hasattr(source, "hurry"):
                source.hurry = True

    def read(self, lane: int) -> None:
        """Read one source to its end; a thread of its own does that."""
        source = self.sources[lane]
        live = is_live(source)
        hurry = live and self._hurry
        try:
            for index, picture in enumerate(source):
                job = job_of(picture, index, lane=lane, live=live, color=self._color)
                if self._ended[lane]:
                    return
                self._ledger.captured(lane, job.came_ms)
                if not hurry:
                    self._frames.give(job, lane)
                elif self._frames.give_newest(job, lane) is not None:
                    self._ledger.dropped(lane)
        except Exception as exc:
            if not self._ended[lane]:  # what a source says that was closed under its reader is no fault
                self._failed(exc)
        finally:
            self._frames.finish(lane)
            if self._ended[lane]:
                let_go(source)  # a generator could not be closed while it was at work

    def next(self) -> list[Job]:
        """Take the next frame that is worth its answer, source after source in turn; the caller leads until ``led``."""
        while True:
            self._frames.lead()  # first, since by then the stages are mostly free, and one waking is saved
            self._pace.wait()
            jobs = self._frames.take_group(self._most, _GATHER_S if self._most > 1 else 0.0)
            if self._deadline is not None:
                jobs = self._deadline.worth(jobs, self._pace, self._ledger)
            if jobs:
                self._pace.admitted(len(jobs))
                return jobs
            self._frames.led()

    def led(self) -> None:
        """Let another worker take the next frames."""
        self._frames.led()

    def end(self, lane: int) -> None:
        """Read one source no longer; the others go on."""
        self._ended[lane] = True
        self._frames.finish(lane)
        let_go(self.sources[lane])

    @property
    def all_ended(self) -> bool:
        """Whether no source is read any more because somebody said so."""
        return all(self._ended)

    def stop(self) -> None:
        """Take in nothing more."""
        self._ended = [True for _ in self.sources]
        self._frames.stop()
        self.close()

    def close(self) -> None:
        """Close the sources, those that can be; one that fails does not keep the others open."""
        with ExitStack() as stack:
            for source in reversed(self.sources):
                stack.callback(let_go, source)


def job_of(picture: Any, index: int, *, lane: int = 0, live: bool = False, color: str | None = None) -> Job:
    """Return the job of a frame that has just come; the age of one that is not live begins now."""
    frame = frame_of(picture, color, index=index)
    now_ns = time.monotonic_ns()
    born_ns = min(frame.captured_ns, now_ns) if live else now_ns
    return Job(frame, born_ns, lane, came_ms=(now_ns - born_ns) / 1e6)


def is_live(source: object) -> bool:
    """Tell whether frames come by themselves; what does not say so waits."""
    return bool(getattr(source, "live", False))


def refuse_names(things: Iterable[object], opener: str) -> None:
    """Raise if one is a name: a pipeline takes what is open, and closes it."""
    for thing in things:
        if isinstance(thing, (str, int, os.PathLike)):
            raise UsageError(f"A pipeline takes what is open, not {thing!r}. Type: {opener}({thing!r})")


def refuse_frames(sources: Sequence[object]) -> None:
    """Raise if there is no source, or one is a frame, as the parts of a list of frames would be."""
    if not sources:
        raise UsageError("There is no source to run on: the list is empty. Type: open_source('rtsp://camera/1')")
    for source in sources:
        if isinstance(source, (Frame, np.ndarray)) or not isinstance(source, Iterable):
            raise UsageError(
                f"A source yields frames, and a list holds several sources: a {type(source).__name__} is none. "
                "For a list of frames as one source, type: Pipeline(model, iter(frames))"
            )
