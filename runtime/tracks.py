"""Define what a tracker answers: one ``Track`` a target, and all of one frame together as ``Tracks``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.registry import door

from .frame import Frame, Pixels
from .results import Speed, place_of, supervision

Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Track:
    """Hold where one target is in one frame. ``box_xyxy`` is left, top, right, bottom in pixels of that frame.

    ``score`` is how sure the answer is, 0 to 1; ``state`` is tracking, uncertain, lost, found or left. While a target
    is lost or has left, the box is the last place that was believed, and ``visible`` is False.
    """

    box_xyxy: Boxes
    score: float
    state: str
    id: int
    frame: Frame
    timing: Speed
    trained: bool = True

    @property
    def visible(self) -> bool:
        """Whether the target is taken to be where the box is."""
        return self.state not in ("lost", "left")

    @property
    def box_xywh(self) -> tuple[float, float, float, float]:
        """Return left, top, width, height."""
        left, top, right, bottom = (float(value) for value in self.box_xyxy)
        return left, top, right - left, bottom - top

    @property
    def speed(self) -> dict[str, float]:
        """The milliseconds of this target in this frame under ``preprocess``, ``inference``, ``postprocess``."""
        return self.timing.to_dict()

    def plot(self) -> Pixels:
        """Return the picture with the box drawn on it, (H, W, 3) in RGB order."""
        return Tracks((self,), self.frame).plot()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = {
            "task": "track",
            **place_of(self.frame),
            **self.said(),
            "speed": self.speed,
        }
        return data if self.trained else {**data, "untrained": True}

    def said(self) -> dict[str, Any]:
        """Return what is said of the target alone."""
        box = [round(float(value), 2) for value in self.box_xyxy]
        return {"id": self.id, "box_xyxy": box, "score": round(self.score, 4), "state": self.state}

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_supervision(self) -> Any:
        """Return ``supervision.Detections`` with this one box, for those who have that library."""
        return Tracks((self,), self.frame).to_supervision()

    def __str__(self) -> str:
        left, top, right, bottom = (round(float(value)) for value in self.box_xyxy)
        said = f"{self.state} {self.score:.2f} at {left},{top} to {right},{bottom}"
        return said if self.trained else f"UNTRAINED weights, no meaning: {said}"


class Tracks(tuple[Track, ...]):
    """Be all tracks of one frame: a tuple, in the order in which the targets were started, and a result as well."""

    frame: Frame

    def __new__(cls, tracks: Iterable[Track], frame: Frame) -> Tracks:
        """Hold the tracks and the frame, which is there without any track too."""
        made = super().__new__(cls, tracks)
        made.frame = frame
        return made

    @property
    def trained(self) -> bool:
        """Whether the answers mean anything."""
        return all(track.trained for track in self)

    @property
    def speed(self) -> dict[str, float]:
        """The milliseconds of all targets in this frame."""
        stages = [track.speed for track in self]
        return {name: round(sum(s[name] for s in stages), 3) for name in ("preprocess", "inference", "postprocess")}

    def plot(self) -> Pixels:
        """Return the picture with all boxes drawn on it, (H, W, 3) in RGB order."""
        drawn: Pixels = door("edgevit.apps.draw_tracks:draw_tracks")(self)
        return drawn

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        tracks = [track.said() for track in self]
        data: dict[str, Any] = {"task": "track", **place_of(self.frame), "tracks": tracks, "speed": self.speed}
        return data if self.trained else {**data, "untrained": True}

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_supervision(self) -> Any:
        """Return ``supervision.Detections`` of the targets that can be seen, for those who have that library."""
        shown = [track for track in self if track.visible]
        return supervision().Detections(
            xyxy=np.array([track.box_xyxy for track in shown], np.float32).reshape(-1, 4),
            confidence=np.array([track.score for track in shown], np.float32),
            tracker_id=np.array([track.id for track in shown], int),
        )

    def __str__(self) -> str:
        return "; ".join(f"{track.id}: {track}" for track in self) or "nothing is followed"
