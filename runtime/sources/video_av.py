"""Decode a video file with PyAV, in the decoder's own pixel format where the kernels read it as it was meant.

Frames of nv12, yuv420p and yuyv422 go on untouched if they are in BT.601 colours of limited range, which is what the
kernels assume, and of even sides. Others (HD's BT.709, full range, 10 bits, odd sides, turned ones) become RGB here,
since FFmpeg knows what the file says about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from edgevit.errors import InputError

from ..frame import Frame, PixelFormat, Pixels
from .images import SECOND_NS

_OWN_FORMATS: dict[str, PixelFormat] = {"yuv420p": "i420", "nv12": "nv12", "yuyv422": "yuyv"}
_BT601_MATRICES = frozenset({2, 5, 6})  # unspecified, BT.470 BG, SMPTE 170M, as FFmpeg numbers them
_LIMITED_RANGES = frozenset({0, 1})
_USUAL_RATE = Fraction(30)


class PyavReel:
    """Walk over the packets of the first video stream."""

    def __init__(self, path: str, container: Any, stream: Any) -> None:
        self.total: int | None = stream.frames or None
        self.lost = ""
        self._path = path
        self._container = container
        self._stream = stream
        self._damaged = 0
        self._end = Fraction(0)
        stream.thread_type = "AUTO"

    def frames(self) -> Iterator[Frame]:
        step = 1 / Fraction(self._stream.average_rate or self._stream.guessed_rate or _USUAL_RATE)
        first: Fraction | None = None
        index = 0
        for picture in self._pictures():
            moment = index * step if picture.pts is None else picture.pts * Fraction(picture.time_base)
            first = moment if first is None else first
            self._end = moment - first + step
            data, pixel_format = pixels_of(picture)
            yield Frame(data, pixel_format, round((moment - first) * SECOND_NS), index, self._path)
            index += 1
        self.lost = self._loss(index, step)

    def close(self) -> None:
        self._container.close()

    def _pictures(self) -> Iterator[Any]:
        """Yield the sound frames; count the packets and frames that are not."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self._damaged += 1
                return
            if packet is None:
                return
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self._damaged += 1
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    self._damaged += 1
                else:
                    yield picture

    def _loss(self, count: int, step: Fraction) -> str:
        stream = self._stream
        if self._damaged:
            return f"{self._damaged} of its packets could not be decoded"
        # Fewer frames than the index promises can be an edit list's wish; it is a loss if the time is short as well.
        length = None
        if stream.duration and self.total and count < self.total:
            length = stream.duration * Fraction(stream.time_base)
        elif not stream.duration and self._container.duration and len(self._container.streams) == 1:
            # Matroska knows the length of the whole; beside a longer sound it would say nothing of the pictures.
            length = Fraction(self._container.duration, 1_000_000)
        if length is not None and self._end < length - 2 * step:
            return f"it ends after {float(self._end):.2f} of {float(length):.2f} seconds"
        return ""


def open_reel(path: str, name: str = "") -> PyavReel:
    """Open a file and find its first video stream; a cover picture in a sound file is none.

    With a ``name``, under which it is told of, ``path`` is a URL.
    """
    try:
        container = av.open(path if name else f"file:{path}")
    except (av.error.FFmpegError, OSError, ValueError) as exc:
        why = exc.args[1] if exc.args[1:] else exc
        raise InputError(
            f"The video {name or path} cannot be opened: it is damaged, cut short, or no video ({why}). Copy it again."
        ) from exc
    path = name or path
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        sound = len(container.streams.audio)
        container.close()
        if sound:
            raise InputError(f"The video {path} has only sound: there is nothing to look at. Name another one.")
        # An MP4 whose index was never written opens like that.
        raise InputError(
            f"The video {path} cannot be opened: it is damaged, cut short, or no video (no stream). Copy it again."
        )
    return PyavReel(path, container, streams[0])


def pixels_of(picture: Any) -> tuple[Pixels, PixelFormat]:
    """Return the pixels of a decoded frame and their format, upright."""
    turns = round(getattr(picture, "rotation", 0) / 90) % 4
    own = _OWN_FORMATS.get(picture.format.name)
    even = picture.width % 2 == 0 and picture.height % 2 == 0
    meant = int(picture.colorspace) in _BT601_MATRICES and int(picture.color_range) in _LIMITED_RANGES
    if own and even and meant and not turns:
        return picture.to_ndarray(), own
    rgb = picture.to_ndarray(format="rgb24")
    return (np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb), "rgb"
