"""Show annotated pictures in windows of OpenCV: ``window://``, one a source. ``q`` or Escape ends the run.

So does closing the last one by its own button; before that the others go on, even those that are yet to come. The
windows belong to the thread that writes, which OpenCV allows on Linux and Windows, and macOS does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevit.errors import EnvironmentFault, missing

from ..frame import Frame
from ..results import Result
from .drawn import picture_of
from .labels import labels_of
from .protocol import Sink, WindowClosed

_TITLE = "edgevit"
_ENDS = (27, ord("q"))
_NONE = (
    "No window can be shown here: {}. The page shows the same on any machine with a browser; for windows on this one "
    "type: pip install opencv-python"
)


class Windows:
    """Paint each picture in its source's window; who ends it there is told as WindowClosed: the run ends quietly."""

    place = "window://"

    def __init__(self, cv2: Any, titles: Sequence[str]) -> None:
        self._cv2 = cv2
        self._titles = tuple(titles)
        self._open: set[str] = set()
        self._gone: set[str] = set()

    def write(self, frame: Frame, result: Result) -> None:
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Paint a picture of that source; one whose window was closed is shown no more, but the others are heard."""
        title = self._titles[lane if lane < len(self._titles) else 0]
        try:
            if title not in self._gone:
                self._paint(title, result)
            self._hear()
        except self._cv2.error as exc:
            raise EnvironmentFault(_NONE.format("this OpenCV has no windows (a headless build)")) from exc

    def close(self) -> None:
        while self._open:
            self._cv2.destroyWindow(self._open.pop())

    def _paint(self, title: str, result: Result) -> None:
        if title not in self._open:
            self._cv2.namedWindow(title, self._cv2.WINDOW_NORMAL)
            self._open.add(title)
        self._cv2.imshow(title, np.ascontiguousarray(picture_of(result)[..., ::-1]))

    def _hear(self) -> None:
        """Look at the keys of all windows, and which were closed: with every answer, whosever window it would be in."""
        cv2 = self._cv2
        key = int(cv2.waitKey(1)) & 0xFF
        closed = {one for one in self._open if cv2.getWindowProperty(one, cv2.WND_PROP_VISIBLE) < 1}
        self._open -= closed
        self._gone |= closed
        if key in _ENDS or self._gone.issuperset(self._titles):
            raise WindowClosed


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open each window with its first picture; what this machine lacks for it is told at once."""
    try:
        import cv2
    except ImportError as exc:
        raise missing("opencv-python", "A window", "") from exc
    if sys.platform == "darwin":
        raise EnvironmentFault(_NONE.format("macOS lets a program's first thread alone show one, and that one is busy"))
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise EnvironmentFault(_NONE.format("there is no display"))  # OpenCV's Qt would end the whole process
    if any("GUI:" in line and "NONE" in line for line in cv2.getBuildInformation().splitlines()):
        raise EnvironmentFault(_NONE.format("this OpenCV has no windows (a headless build)"))
    return Windows(cv2, [f"{_TITLE}: {label}" for label in labels_of(names)] or [_TITLE])
