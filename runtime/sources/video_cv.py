"""Decode a video file with OpenCV, where there is no PyAV. Frames are BGR, and upright by OpenCV's own doing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from edgevit.errors import InputError

from ..frame import Frame

# Of these the number of frames stands in an index; of others OpenCV guesses it from the duration and the rate.
_WITH_INDEX = frozenset({".3gp", ".m4v", ".mov", ".mp4"})


class OpencvReel:
    """Read frame after frame; OpenCV does not say why one does not come, so the count tells."""

    def __init__(self, path: str, capture: Any) -> None:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if Path(path).suffix.lower() in _WITH_INDEX else 0
        self.total: int | None = promised if promised > 0 else None
        self.lost = ""
        self._path = path
        self._capture = capture

    def frames(self) -> Iterator[Frame]:
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        step_ms = 1000 / rate if rate > 0 else 1000 / 30
        first_ms, last_ms, index = 0.0, -1.0, 0
        while True:
            came, bgr = self._capture.read()
            if not came:
                break
            moment_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            first_ms = moment_ms if index == 0 else first_ms
            if moment_ms <= last_ms:  # a stream without times of its own reads 0 throughout
                moment_ms = last_ms + step_ms
            last_ms = moment_ms
            yield Frame(bgr, "bgr", round((moment_ms - first_ms) * 1e6), index, self._path)
            index += 1
        if self.total and index < self.total:
            self.lost = f"{self.total - index} of its {self.total} frames did not come"

    def close(self) -> None:
        self._capture.release()


def open_reel(path: str) -> OpencvReel:
    """Open a file through OpenCV's FFmpeg, else through whatever it was built with."""
    for backend in (cv2.CAP_FFMPEG, cv2.CAP_ANY):
        capture = cv2.VideoCapture(path, backend)
        if capture.isOpened():
            return OpencvReel(path, capture)
        capture.release()
    raise InputError(
        f"The video {path} cannot be opened: it is damaged, cut short, or has no video stream. Copy it again."
    )
