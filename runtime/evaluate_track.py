"""Run trackers over sequences with true boxes, as a user would: the first box is given, then frame by frame."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevit.progress import Progress, Step, silent

from .frame import Frame
from .track_clips import RenderedSequence
from .track_rivals import Rival
from .track_score import Box, TrackScore, score, together
from .track_truth import Sequence as FolderSequence
from .tracker import TrackSession
from .tracks import Track

Clip = FolderSequence | RenderedSequence


@dataclass(frozen=True)
class Run:
    """Hold how one tracker did on one sequence; ``seconds`` are its own, reading the frames is not in them.

    ``events`` counts what a session said of its target; ``absent_shown`` is the share of the frames without the target
    in which it was shown all the same, None where there is no such frame or the tracker never says.
    """

    tracker: str
    sequence: str
    score: TrackScore
    seconds: float
    steps: int
    events: dict[str, int]
    absent_shown: float | None = None

    @property
    def fps(self) -> float:
        """Return frames a second."""
        return self.steps / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = {"tracker": self.tracker, "sequence": self.sequence, **self.score.to_dict(), "fps": round(self.fps, 1)}
        return {**data, "events": self.events, "absent_shown": self.absent_shown}


def evaluate(
    trackers: dict[str, TrackSession | Rival], clips: Sequence[Clip], *, progress: Progress | None = None
) -> tuple[Run, ...]:
    """Run every tracker over every sequence; trackers take turns, sequence by sequence."""
    tell = progress or silent
    total = len(trackers) * len(clips)
    runs: list[Run] = []
    for clip in clips:
        for name, tracker in trackers.items():
            tell(Step("follow", f"{name} on {clip.name}", done=len(runs), total=total))
            if isinstance(tracker, TrackSession):
                runs.append(_session(name, tracker, clip))
            else:
                runs.append(_rival(name, tracker, clip))
    return tuple(runs)


def summary(runs: Sequence[Run], tracker: str) -> tuple[TrackScore, float]:
    """Return a tracker's figures over all sequences, and its frames a second."""
    own = [run for run in runs if run.tracker == tracker]
    seconds = sum(run.seconds for run in own)
    return together(run.score for run in own), (sum(run.steps for run in own) / seconds if seconds else 0.0)


def _session(name: str, session: TrackSession, clip: Clip) -> Run:
    tracks: list[Track] = []

    def start(frame: Frame, box: Box) -> Box:
        x, y, w, h = box
        tracks.append(session.start(frame, (x, y, x + w, y + h), id=1))
        return box

    def step(frame: Frame) -> Box:
        (track,) = session(frame)
        tracks.append(track)
        return track.box_xywh

    boxes, seconds = _followed(start, step, clip)
    session.stop(1)
    events = Counter(after.state for before, after in itertools.pairwise(tracks) if after.state != before.state)
    absent = [track.visible for track, true in zip(tracks, clip.boxes_xywh, strict=True) if true is None]
    shown = sum(absent) / len(absent) if absent else None
    return Run(name, clip.name, score(boxes, clip.boxes_xywh), seconds, len(boxes), dict(events), shown)


def _rival(name: str, rival: Rival, clip: Clip) -> Run:
    def start(frame: Frame, box: Box) -> Box:
        rival.start(frame, box)
        return box

    boxes, seconds = _followed(start, rival.step, clip)
    return Run(name, clip.name, score(boxes, clip.boxes_xywh), seconds, len(boxes), {})


def _followed(start: Callable[[Frame, Box], Box], step: Callable[[Frame], Box], clip: Clip) -> tuple[list[Box], float]:
    boxes: list[Box] = []
    seconds = 0.0
    for frame, true in zip(clip.frames(), clip.boxes_xywh, strict=True):
        began = time.perf_counter()
        if boxes:
            boxes.append(step(frame))
        else:
            assert true is not None
            boxes.append(start(frame, true))
        seconds += time.perf_counter() - began
    return boxes, seconds
