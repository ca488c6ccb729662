"""Show frames in a window of OpenCV and let a person show the target with the mouse, at any time.

A drag is the box; a click is a point on the target, whose box is guessed. Keys: ``s`` waits for another target, ``r``
goes back to the first one, space waits, ``q`` or Escape ends.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from edgevit.errors import EnvironmentFault, missing
from edgevit.runtime import Frame, Tracks
from edgevit.runtime.frame import Pixels
from edgevit.runtime.pointing import box_at

from .canvas import box
from .mouse import Mouse

Box = tuple[float, float, float, float]

_WISHES = {ord("s"): "select", ord("r"): "reset", ord("q"): "quit", 27: "quit"}
_NO = (27, ord("c"), ord("q"))
_SPACE = 32
_NOTHING = 255
"""What no key is, of the eight bits that are looked at."""
_WHITE = (255, 255, 255)
_HEADLESS = (
    "No window can be shown here: this OpenCV has no windows (a headless build), or there is no display. Leave --show "
    "out and type: --box x,y,width,height or --point x,y. For windows: pip install opencv-python"
)


class Window:
    """Be the screen of ``apps/track.py``. Opening it finds out whether this machine can show anything."""

    def __init__(self, title: str = "edgevit") -> None:
        try:
            import cv2
        except ImportError as exc:
            raise missing("opencv-python", "A window", "") from exc
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise EnvironmentFault(_HEADLESS)  # OpenCV's Qt would end the whole process
        self._cv2: Any = cv2
        self._title = title
        self._mouse = Mouse()
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
            cv2.setMouseCallback(title, self._hear)
        except cv2.error as exc:
            raise EnvironmentFault(_HEADLESS) from exc

    def choose(self, frame: Frame) -> Box | None:
        """Return what a person has drawn or clicked on, or wait for it; Escape or ``c`` gives up."""
        rgb = frame.to_rgb()
        while True:
            if self._mouse.done:
                return self._shown_box(frame)
            if self._key(rgb, 20) in _NO or self._gone():
                return None

    def show(self, tracks: Tracks) -> str:
        """Show a frame and return what was asked for; a stroke of the mouse asks for another target."""
        rgb = tracks.plot()
        key = self._key(rgb, 1)
        if key == _SPACE:
            key = _NOTHING
            while key == _NOTHING and not self._mouse.done and not self._gone():
                key = self._key(rgb, 20)
        if self._gone():
            return "quit"
        return "select" if self._mouse.done else _WISHES.get(key, "")

    def close(self) -> None:
        """Take the window away, if the person has not done so."""
        if not self._gone():
            self._cv2.destroyWindow(self._title)

    def _shown_box(self, frame: Frame) -> Box:
        stroke = self._mouse.take(frame.size_hw)
        return stroke if len(stroke) == 4 else box_at(frame, stroke)

    def _key(self, rgb: Pixels, wait_ms: int) -> int:
        """Paint the picture, with the box that is being drawn, and return the key that was pressed meanwhile."""
        canvas = rgb
        if self._mouse.pressed:
            canvas = np.array(rgb)
            _outline(canvas, self._mouse.drawn(rgb.shape[:2]))
        self._cv2.imshow(self._title, np.ascontiguousarray(canvas[..., ::-1]))
        return int(self._cv2.waitKey(wait_ms)) & 0xFF

    def _gone(self) -> bool:
        """Tell whether the person has closed the window by its own button."""
        return bool(self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) < 1)

    def _hear(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if event == self._cv2.EVENT_LBUTTONDOWN:
            self._mouse.press(x, y)
        elif event == self._cv2.EVENT_LBUTTONUP:
            self._mouse.release(x, y)
        elif event == self._cv2.EVENT_MOUSEMOVE:
            self._mouse.move(x, y)


def _outline(canvas: Pixels, drawn: Box) -> None:
    left, top, width, height = (round(value) for value in drawn)
    for y in (top, top + height - 1):
        box(canvas, y, left, (1, width), _WHITE, 1.0)
    for x in (left, left + width - 1):
        box(canvas, top, x, (height, 1), _WHITE, 1.0)
