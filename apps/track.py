"""Follow a target through an input and write what is found: the loop behind ``edgevit track``. Never torch."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import InputError, UsageError
from edgevit.runtime import Frame, Tracks, TrackSession, load
from edgevit.runtime.pointing import box_at
from edgevit.runtime.sinks import Fan, Sink, open_sink, refuse_twice, who_left
from edgevit.runtime.sources import Source, freshest, open_source
from edgevit.runtime.track_clips import box_in_name

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Progress = Callable[[int, "int | None", Tracks], None]


class Screen(Protocol):
    """Show frames to a person and hear what they want; ``window.py`` is the one with a mouse."""

    def choose(self, frame: Frame) -> Box | None:
        """Let a person show a box x, y, width, height; None if they will not."""

    def show(self, tracks: Tracks) -> str:
        """Show a frame and return what was asked for: "", "select", "reset" or "quit"."""

    def close(self) -> None:
        """Take the window away."""


@dataclass(frozen=True)
class Summary:
    """Tell what a run did. ``states`` counts frames, ``fps`` is the tracker's own pace, without reading and writing."""

    frames: int
    fps: float
    states: dict[str, int]
    outputs: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        held = {"frames": self.frames, "fps": round(self.fps, 1), "states": self.states}
        return {**held, "outputs": list(self.outputs), "faults": list(self.faults), "stopped": self.stopped}

    def __str__(self) -> str:
        states = ", ".join(f"{state} {count}" for state, count in self.states.items())
        count = f"{self.frames} frame{'' if self.frames == 1 else 's'}{f' ({states})' if states else ''}"
        faults = f", {len(self.faults)} passed over" if self.faults else ""
        where = f", written to {', '.join(self.outputs)}" if self.outputs else ""
        return f"{count}, {self.fps:.0f} a second{faults}{where}{f'; {self.stopped}' if self.stopped else ''}."


def track(
    model: TrackSession | Bundle | str | Path,
    source: str | os.PathLike[str] | Source,
    *,
    box_xywh: Box | None = None,
    point_xy: Point | None = None,
    save: Sequence[str | os.PathLike[str]] = (),
    screen: Screen | None = None,
    on_error: str = "stop",
    limit: int | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Follow one target; ``box_xywh`` is where it is in the first frame, ``point_xy`` any point on it.

    Without them a person shows it on the ``screen``; a built-in clip knows it. With ``on_error="skip"`` frames that
    cannot be read are passed over. Whatever ends the run, what was written is kept: a video is finished and holds the
    frames so far. A session that was handed over stays open.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, not {limit}.")
    if box_xywh is not None and point_xy is not None:
        raise UsageError("A target is given by its box or by a point on it, not by both. Leave one of them out.")
    with ExitStack() as stack:
        sinks: list[Sink] = []
        refuse_twice(save)
        for place in save:
            sinks.append(open_sink(place))
            stack.callback(sinks[-1].close)
        if isinstance(source, (str, os.PathLike)):
            source = stack.enter_context(closing(open_source(source, on_error=on_error)))
        own = isinstance(model, TrackSession)
        session = model if isinstance(model, TrackSession) else stack.enter_context(load(model, task="track"))
        loop = _Loop(session, box_xywh or point_xy, screen, Fan(sinks), progress)
        if screen is not None:
            stack.callback(screen.close)
        if own:
            stack.callback(_forget, session, session.ids)
        stopped = loop.run(freshest(source), limit)
        faults = tuple(source.faults)
    return Summary(
        loop.done,
        loop.done / loop.seconds if loop.seconds else 0.0,
        dict(loop.states),
        tuple(s.place for s in sinks),
        faults,
        stopped,
    )


class _Loop:
    """Hold what a run counts and what a person may change in it."""

    def __init__(
        self,
        session: TrackSession,
        place: Box | Point | None,
        screen: Screen | None,
        sink: Fan,
        progress: Progress | None,
    ) -> None:
        self._session, self._place, self._screen = session, place, screen
        self._sink, self._progress = sink, progress
        self._id: int | None = None
        self._first: tuple[Box, tuple[int, int]] | None = None
        self.done, self.seconds = 0, 0.0
        self.states: Counter[str] = Counter()

    def run(self, source: Source, limit: int | None) -> str:
        """Go through the frames and return what ended them, if it was not their end."""
        total = source.total if limit is None or source.total is None else min(source.total, limit)
        try:
            for frame in itertools.islice(source, limit):
                tracks = self._answer(frame)
                if tracks is None:
                    return "nothing was chosen in the window"
                self._sink.write(frame, tracks)
                self.done += 1
                self.states.update(track.state for track in tracks)
                if self._progress is not None:
                    self._progress(self.done, total, tracks)
                if self._screen is not None and not self._heard(self._screen.show(tracks), frame):
                    return "ended in the window"
        except BrokenPipeError as gone:
            return who_left(gone)
        except KeyboardInterrupt:
            return "interrupted"
        finally:
            self._sink.close()
        if not self.done:
            raise InputError(
                "The input has no frame, so there is nothing to follow. Name a video, a folder or a camera (0)."
            )
        return ""

    def _answer(self, frame: Frame) -> Tracks | None:
        """Find the target; None if a person would not say what it is."""
        box = self._chosen(frame) if self._id is None else None
        if self._id is None and box is None:
            return None
        began = time.perf_counter()
        if box is not None:
            self._start(frame, box)
            tracks = Tracks((self._started,), frame)
        else:
            tracks = self._session(frame)
        self.seconds += time.perf_counter() - began
        return tracks

    def _chosen(self, frame: Frame) -> Box | None:
        if self._place is not None:
            return self._place if len(self._place) == 4 else box_at(frame, self._place)
        if known := box_in_name(frame.source):
            return known
        if self._screen is None:
            raise UsageError(
                "What shall be followed? Type: --box x,y,width,height or --point x,y (in the first frame), or --show "
                "to draw it or click on it."
            )
        return self._screen.choose(frame)

    def _start(self, frame: Frame, box: Box) -> None:
        x, y, w, h = box
        self._started = self._session.start(frame, (x, y, x + w, y + h), self._id)
        self._id, self._first = self._started.id, self._first or (box, frame.size_hw)

    def _heard(self, wish: str, frame: Frame) -> bool:
        """Do what a person asked for; False ends the run."""
        if wish == "select" and self._screen is not None:
            drawn = self._screen.choose(frame)
            if drawn is not None:
                self._start(frame, drawn)
        elif wish == "reset" and self._first is not None:
            self._start(frame, _scaled(*self._first, frame.size_hw))
        return wish != "quit"


def _scaled(box_xywh: Box, size_hw: tuple[int, int], into_hw: tuple[int, int]) -> Box:
    """Carry a box over to a picture of another size: the same share of it."""
    down, right = (new / old for new, old in zip(into_hw, size_hw, strict=True))
    x, y, w, h = box_xywh
    return x * right, y * down, w * right, h * down


def _forget(session: TrackSession, before: tuple[int, ...]) -> None:
    """Leave a session that was handed over with the targets that it came with."""
    for key in np.setdiff1d(session.ids, before).tolist():
        session.stop(int(key))
