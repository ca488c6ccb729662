"""Show annotated pictures in a window of OpenCV: ``window://``. ``q``, Escape or the window's own button ends the run.

The window belongs to the thread that writes, which OpenCV allows on Linux and Windows, and macOS does not.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from edgevit.errors import EnvironmentFault, missing

from ..frame import Frame
from ..results import Result
from .protocol import Sink

_TITLE = "edgevit"
_ENDS = (27, ord("q"))
_NONE = (
    "No window can be shown here: {}. The page shows the same on any machine with a browser; for windows on this one "
    "type: pip install opencv-python"
)


class Window:
    """Paint each picture; who closes the window is told as BrokenPipeError, so that the run ends quietly."""

    place = "window://"

    def __init__(self, cv2: Any) -> None:
        self._cv2 = cv2
        self._open = False

    def write(self, frame: Frame, result: Result) -> None:
        cv2 = self._cv2
        try:
            if not self._open:
                cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
                self._open = True
            cv2.imshow(_TITLE, np.ascontiguousarray(result.plot()[..., ::-1]))
            key = int(cv2.waitKey(1)) & 0xFF
            gone = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error as exc:
            raise EnvironmentFault(_NONE.format("this OpenCV has no windows (a headless build)")) from exc
        if gone or key in _ENDS:
            self._open = self._open and not gone
            raise BrokenPipeError

    def close(self) -> None:
        if self._open:
            self._open = False
            self._cv2.destroyWindow(_TITLE)


def sink_of(place: str, kind: str) -> Sink:
    """Open the window with the first picture; what this machine lacks for it is told at once."""
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
    return Window(cv2)
