"""Read streams and cameras with OpenCV, where there is no PyAV. It is the second road, and says so once a source.

OpenCV hands over no times, so a frame is dated by its arrival and what piles up before it does not count as age. Nor
does it say why a stream cannot be opened, so the machine is asked here, or whether one ended or broke off.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2

from edgevit.errors import InputError

from ..frame import Frame
from .address import Wishes
from .asking import UnopenedError, asked
from .video_cv import OpencvReel

_NOTE = "{} is read by OpenCV, since PyAV is not installed: a frame's age begins with its arrival here{}."
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_CODES = {"mjpeg": "MJPG", "yuyv422": "YUYV", "nv12": "NV12", "h264": "H264"}
_opening = threading.Lock()


class CvFeed:
    """Hold one open capture."""

    def __init__(self, name: str, capture: Any, *, timeout_s: float, wishes: Wishes, device: bool) -> None:
        self.finite = not device and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.note = _NOTE.format(name, f", and hw={wishes.hw} is not heard" if wishes.hw else "")
        self._name, self._capture, self._timeout_s = name, capture, timeout_s

    def frames(self, index: int) -> Iterator[Frame]:
        while True:
            began_s = time.monotonic()
            came, bgr = self._capture.read()
            if not came:
                if time.monotonic() - began_s >= 0.9 * self._timeout_s:
                    raise InputError(f"{self._name} sent nothing that can be decoded for {self._timeout_s:g} s.")
                raise InputError(f"{self._name} ended or broke off; OpenCV does not say which.")
            yield Frame(bgr, "bgr", time.monotonic_ns(), index, self._name)
            index += 1

    def close(self) -> None:
        self._capture.release()


def open_stream(uri: str, name: str, wishes: Wishes) -> CvFeed:
    """Open a stream from the network through OpenCV's FFmpeg."""
    limit_ms = max(1, round(wishes.timeout_s * 1e3))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
    capture = _captured(uri, f"rtsp_transport;{wishes.transport or 'tcp'}|fflags;nobuffer|flags;low_delay", limits)
    if not capture.isOpened():
        capture.release()
        raise asked(uri, wishes.timeout_s)
    return CvFeed(name, capture, timeout_s=wishes.timeout_s, wishes=wishes, device=False)


def open_camera(device: str, driver: str, wishes: Wishes) -> CvFeed:
    """Open a camera of this machine; a wish that its driver does not grant is a fault, as with PyAV."""
    linux = sys.platform == "linux"
    capture = cv2.VideoCapture(device if linux else int(device), cv2.CAP_V4L2 if linux else cv2.CAP_AVFOUNDATION)
    if not capture.isOpened():
        capture.release()
        raise OSError(errno.ENODEV, "OpenCV cannot open it, and does not say why")
    wanted = {}
    if wishes.format:
        code = _CODES.get(wishes.format, wishes.format.upper()[:4].ljust(4))
        wanted[cv2.CAP_PROP_FOURCC] = float(cv2.VideoWriter.fourcc(*code))
    if wishes.size_wh:
        wanted |= {cv2.CAP_PROP_FRAME_WIDTH: wishes.size_wh[0], cv2.CAP_PROP_FRAME_HEIGHT: wishes.size_wh[1]}
    if wishes.fps:
        wanted[cv2.CAP_PROP_FPS] = wishes.fps
    for what, value in wanted.items():
        capture.set(what, value)
    if any(abs(capture.get(what) - value) > 0.5 for what, value in wanted.items()):
        capture.release()
        raise OSError(errno.EINVAL, "it does not grant what was asked for")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return CvFeed(device, capture, timeout_s=wishes.timeout_s, wishes=wishes, device=True)


def open_reel(uri: str, name: str) -> OpencvReel:
    """Read what has an end, from its beginning."""
    capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(f"The video {name} cannot be opened: it is damaged, cut short, or no video.")
    return OpencvReel(name, capture)


def errors() -> tuple[type[BaseException], ...]:
    """Return what opening may raise."""
    return (OSError, ValueError, cv2.error)


def kind_of(exc: BaseException) -> str:
    """Tell what ended an attempt, as far as the machine told."""
    return exc.kind if isinstance(exc, UnopenedError) else ""


def why(exc: BaseException) -> str:
    """Return the words of an error."""
    return str(getattr(exc, "strerror", None) or exc).strip().rstrip(".")


def _captured(uri: str, options: str, limits: list[int]) -> Any:
    """Open a capture whose options can only be said by the environment, which is everybody's; a user's own stay."""
    with _opening:
        before = os.environ.get(_OPTIONS)
        os.environ[_OPTIONS] = options if before is None else before
        try:
            return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)
        finally:
            if before is None:
                del os.environ[_OPTIONS]
