"""Run OpenCV's own trackers beside ours, in the same loop, where they are installed.

CSRT and KCF are in OpenCV's contrib packages, MIL in all; ``static`` is a box that never moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from edgevit.errors import MissingDependencyError
from edgevit.registry import unknown_name

from .frame import Frame

Box = tuple[float, float, float, float]
NAMES = ("csrt", "kcf", "mil", "static")


class Rival(Protocol):
    """Follow one box."""

    def start(self, frame: Frame, box_xywh: Box) -> None:
        """Take the target in."""

    def step(self, frame: Frame) -> Box:
        """Return the box in the next frame."""


class Static:
    """Stay where the first box was: what every tracker must beat."""

    def start(self, frame: Frame, box_xywh: Box) -> None:
        """Take the box."""
        self._box = box_xywh

    def step(self, frame: Frame) -> Box:
        """Return it."""
        return self._box


class OpenCV:
    """Be one of OpenCV's trackers; where it gives up, the last box stays, and so does the first if it cannot start.

    It is shown the part of a box that lies in the picture: some of them raise for more.
    """

    def __init__(self, make: Callable[[], Any], fault: type[Exception]) -> None:
        self._make = make
        self._fault = fault

    def start(self, frame: Frame, box_xywh: Box) -> None:
        """Make a new tracker for the target."""
        self._tracker = self._make()
        self._box = box_xywh
        try:
            self._tracker.init(_bgr(frame), _whole_inside(box_xywh, frame.size_hw))
        except self._fault:
            self._tracker = None

    def step(self, frame: Frame) -> Box:
        """Ask it for the next box."""
        if self._tracker is None:
            return self._box
        try:
            found, box = self._tracker.update(_bgr(frame))
        except self._fault:
            found = False
        if found:
            self._box = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        return self._box


def rival(name: str) -> Rival:
    """Return a tracker by name."""
    if name not in NAMES:
        raise unknown_name("tracker to compare with", name, NAMES, ask=f"--against {','.join(NAMES)}")
    if name == "static":
        return Static()
    try:
        import cv2
    except ImportError as exc:
        raise MissingDependencyError(
            f"'{name}' is OpenCV's, which is not installed. Type: pip install opencv-contrib-python-headless"
        ) from exc
    spelled = f"Tracker{name.upper()}_create"
    make = getattr(cv2, spelled, None) or getattr(getattr(cv2, "legacy", None), spelled, None)
    if make is None:
        raise MissingDependencyError(
            f"This OpenCV ({cv2.__version__}) has no {name.upper()}; its contrib package has. In an environment of its "
            "own type: pip install opencv-contrib-python-headless"
        )
    return OpenCV(make, cv2.error)


def _whole_inside(box_xywh: Box, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round a box to whole pixels inside the picture, one a side at least."""
    (left, right), (top, bottom) = (
        (min(max(0, round(start)), length - 1), min(max(1, round(start + side)), length))
        for start, side, length in zip(box_xywh[:2], box_xywh[2:], size_hw[::-1], strict=True)
    )
    return left, top, max(1, right - left), max(1, bottom - top)


def _bgr(frame: Frame) -> Any:
    return frame.data if frame.pixel_format == "bgr" else np.ascontiguousarray(frame.to_rgb()[..., ::-1])
