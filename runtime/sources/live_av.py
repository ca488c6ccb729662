"""Read live pictures with PyAV: network streams, cameras, screens. What is silent too long, or only noise, is given up.

Decoding is set for latency: no read-ahead, and no threads that each hold a frame back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av

from edgevit.errors import InputError

from ..frame import Frame
from .images import SECOND_NS
from .stream_clock import StreamClock
from .video_av import pixels_of

_TIMELESS = frozenset({"mpjpeg", "mjpeg", "image2pipe"})
"""Formats that carry no time: FFmpeg counts frames there and calls that one."""
_OWN_CLOCK_NS = 10 * SECOND_NS
"""A device whose times lie so little in our past counts on our clock, as V4L2 does."""


class AvFeed:
    """Hold one open container; ``name`` is how it is called in frames and messages."""

    def __init__(self, name: str, container: Any, *, timeout_s: float, device: bool) -> None:
        self.finite = not device and container.duration is not None
        self._name, self._timeout_s, self._device = name, timeout_s, device
        self._container = container
        self._clock = StreamClock()
        self._timeless = not _TIMELESS.isdisjoint(container.format.name.split(","))
        self._stream = container.streams.video[0]
        self._stream.thread_type = "SLICE"

    def frames(self, index: int) -> Iterator[Frame]:
        seen_s = time.monotonic()
        packets = self._container.demux(self._stream)
        while True:
            packet = self._next(packets)
            if packet is None:
                return
            for picture in _sound(packet):
                now_ns = time.monotonic_ns()
                data, pixel_format = pixels_of(picture)
                yield Frame(data, pixel_format, self._captured_ns(picture, now_ns), index, self._name)
                index += 1
                seen_s = time.monotonic()
            if time.monotonic() - seen_s > self._timeout_s:
                raise InputError(f"{self._name} sent nothing that can be decoded for {self._timeout_s:g} s.")

    def close(self) -> None:
        self._container.close()

    def _next(self, packets: Iterator[Any]) -> Any:
        try:
            return next(packets, None)
        except (av.error.ExitError, av.error.TimeoutError) as exc:
            raise InputError(f"{self._name} sent nothing for {self._timeout_s:g} s.") from exc
        except (av.error.FFmpegError, OSError) as exc:
            raise InputError(f"{self._name} broke off: {why(exc)}.") from exc

    def _captured_ns(self, picture: Any, now_ns: int) -> int:
        if self._timeless or picture.pts is None:
            return now_ns
        sent_ns: int = round(picture.pts * Fraction(picture.time_base) * SECOND_NS)
        if self._device and 0 <= now_ns - sent_ns < _OWN_CLOCK_NS:
            return sent_ns
        return self._clock.captured_ns(sent_ns, now_ns)


def open_feed(
    place: str, name: str, *, timeout_s: float, options: Mapping[str, str], device: str | None = None
) -> AvFeed:
    """Open a URL, or a device through the named format of FFmpeg. FFmpeg's errors go to the caller as they are."""
    container = av.open(
        place,
        format=device,
        options={"fflags": "nobuffer", "flags": "low_delay", "fpsprobesize": "0", **options},
        timeout=timeout_s,
        metadata_errors="replace",
    )
    if not container.streams.video:
        container.close()
        raise InputError(f"{name} has no pictures in it{', only sound' if device is None else ''}.")
    return AvFeed(name, container, timeout_s=timeout_s, device=device is not None)


def errors() -> tuple[type[BaseException], ...]:
    """Return what opening may raise."""
    return (av.error.FFmpegError, OSError, ValueError)


def timed_out(exc: BaseException) -> bool:
    """Tell whether it was the time limit that ended an attempt."""
    return isinstance(exc, (av.error.ExitError, av.error.TimeoutError))


def why(exc: BaseException) -> str:
    """Return FFmpeg's own words for an error, without the place that it adds."""
    words = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return str(words).strip().rstrip(".")


def _sound(packet: Any) -> list[Any]:
    try:
        return [picture for picture in packet.decode() if not picture.is_corrupt]
    except av.error.FFmpegError:
        return []
