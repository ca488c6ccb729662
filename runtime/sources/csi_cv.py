"""Read a board's own camera through an OpenCV that was built with GStreamer. Frames are BGR, timed when they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import cv2

from edgevit.errors import InputError

from ..frame import Frame

_JETSON = "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM),{} ! nvvidconv ! video/x-raw,format=BGRx"
_OTHERS = "libcamerasrc ! video/x-raw,{}"
_END = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def has_gstreamer() -> bool:
    """Tell whether this OpenCV was built with it."""
    return any(
        line.split(":")[0].strip() == "GStreamer" and "YES" in line for line in cv2.getBuildInformation().splitlines()
    )


class GstreamerFeed:
    """Read frame after frame; the newest is kept, older ones are dropped in GStreamer."""

    def __init__(self, number: int, size_wh: tuple[int, int], fps: float | None, *, jetson: bool) -> None:
        self._name = f"csi://{number}"
        rate = f",framerate={round(fps)}/1" if fps else ""
        caps = f"width={size_wh[0]},height={size_wh[1]}{rate}"
        start = _JETSON.format(number, caps) if jetson else _OTHERS.format(caps)
        self._capture: Any = cv2.VideoCapture(start + _END, cv2.CAP_GSTREAMER)
        if not self._capture.isOpened():
            self._capture.release()
            raise InputError(
                f"The camera {self._name} cannot be opened. Is its cable in, and no other program using it?"
            )

    def frames(self, index: int) -> Iterator[Frame]:
        while True:
            came, bgr = self._capture.read()
            if not came:
                raise InputError(f"{self._name} broke off.")
            yield Frame(bgr, "bgr", time.monotonic_ns(), index, self._name)
            index += 1

    def close(self) -> None:
        self._capture.release()
