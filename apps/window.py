"""Show frames in a window of OpenCV and let a person draw a box with the mouse.

Keys: ``s`` draws a new box, ``r`` goes back to the first one, space waits, ``q`` or Escape ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevit.errors import EnvironmentFault, missing
from edgevit.runtime import Frame, Tracks

Box = tuple[float, float, float, float]

_WISHES = {ord("s"): "select", ord("r"): "reset", ord("q"): "quit", 27: "quit"}
_SPACE = 32


class Window:
    """Be the screen of ``apps/track.py``. Opening it finds out whether this machine can show anything."""

    def __init__(self, title: str = "edgevit") -> None:
        try:
            import cv2
        except ImportError as exc:
            raise missing("cv2", "A window", "camera") from exc
        self._cv2: Any = cv2
        self._title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as exc:
            raise EnvironmentFault(
                "No window can be shown here: this OpenCV has no windows (a headless build), or there is no display. "
                "Leave --show out and type: --box x,y,width,height. For windows: pip install opencv-python"
            ) from exc

    def choose(self, frame: Frame) -> Box | None:
        """Let a person draw a box; Enter takes it, ``c`` gives up."""
        x, y, w, h = self._cv2.selectROI(self._title, _bgr(frame.to_rgb()), showCrosshair=False, printNotice=False)
        return (float(x), float(y), float(w), float(h)) if w and h else None

    def show(self, tracks: Tracks) -> str:
        """Show a frame and return what was asked for."""
        self._cv2.imshow(self._title, _bgr(tracks.plot()))
        key = self._cv2.waitKey(1) & 0xFF
        if key == _SPACE:
            key = self._cv2.waitKey(0) & 0xFF
        # A window that was closed by its own button answers -1 here.
        if self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) < 1:
            return "quit"
        return _WISHES.get(key, "")

    def close(self) -> None:
        """Take the window away."""
        self._cv2.destroyWindow(self._title)


def _bgr(rgb: Any) -> Any:
    return np.ascontiguousarray(rgb[..., ::-1])
