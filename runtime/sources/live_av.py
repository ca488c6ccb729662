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
from .address import Wishes
from .catching_up import CatchingUp
from .hardware_av import accelerator, used
from .images import SECOND_NS
from .stream_clock import StreamClock
from .video_av import open_reel as open_reel
from .video_av import pixels_of

_TIMELESS = frozenset({"mpjpeg", "mjpeg", "image2pipe"})
"""Formats that carry no time: FFmpeg counts frames there and calls that one."""
_BURSTS = frozenset({"hls"})
"""Formats of long pieces: most pictures of one are old when it comes, however fast they are decoded."""
_OWN_CLOCK_NS = 10 * SECOND_NS
"""A device whose times lie so little in our past counts on our clock, as V4L2 does."""


class AvFeed:
    """Hold one open container; frames and messages call it ``name``, and ``note`` is what a user should know of it.

    ``hurry`` leaves out what decoding is too slow for; ``left_out`` counts that.
    """

    def __init__(self, name: str, container: Any, *, timeout_s: float, device: bool, note: str = "") -> None:
        self.note, self.hurry = note, False
        self.finite = not device and container.duration is not None
        self._name, self._timeout_s, self._device = name, timeout_s, device
        self._container = container
        self._clock = StreamClock()
        self._catching_up = CatchingUp()
        formats = frozenset(container.format.name.split(","))
        self._timeless, self._bursts = bool(formats & _TIMELESS), bool(formats & _BURSTS)
        self._stream = container.streams.video[0]
        self._stream.thread_type = "SLICE"

    def frames(self, index: int) -> Iterator[Frame]:
        seen_s = time.monotonic()
        packets = self._container.demux(self._stream)
        while True:
            packet = self._next(packets)
            if packet is None:
                return
            if self.hurry and not self._worth(packet):
                index += 1
                seen_s = time.monotonic()
                continue
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

    @property
    def left_out(self) -> int:
        """How many pictures were never decoded."""
        return self._catching_up.left_out

    def _worth(self, packet: Any) -> bool:
        if self._timeless or self._bursts or packet.dts is None:
            return True
        sent_ns = round(packet.dts * Fraction(packet.time_base) * SECOND_NS)
        return self._catching_up.worth(sent_ns, time.monotonic_ns(), key=packet.is_keyframe)

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
    place: str, name: str, *, timeout_s: float, options: Mapping[str, str], device: str | None = None, hw: str = ""
) -> AvFeed:
    """Open a URL, or a device through the named format of FFmpeg. FFmpeg's errors go to the caller as they are."""
    hardware, note = accelerator(hw) if hw else (None, "")
    container = av.open(
        place,
        format=device,
        options={"fflags": "nobuffer", "flags": "low_delay", "fpsprobesize": "0", **options},
        timeout=timeout_s,
        metadata_errors="replace",
        hwaccel=hardware,
    )
    if not container.streams.video:
        container.close()
        raise InputError(f"{name} has no pictures in it{', only sound' if device is None else ''}.")
    note = note or (used(container.streams.video[0], hw) if hw else "")
    return AvFeed(name, container, timeout_s=timeout_s, device=device is not None, note=f"{name}: {note}" * bool(note))


def open_stream(uri: str, name: str, wishes: Wishes) -> AvFeed:
    """Open a stream from the network."""
    options = {"rtsp_transport": wishes.transport or "tcp"} if uri.lower().startswith("rtsp") else {}
    return open_feed(uri, name, timeout_s=wishes.timeout_s, options=options, hw=wishes.hw)


def open_camera(device: str, driver: str, wishes: Wishes) -> AvFeed:
    """Open a camera of this machine."""
    return open_feed(
        device, device, timeout_s=wishes.timeout_s, options=options_of(wishes, driver), device=driver, hw=wishes.hw
    )


def options_of(wishes: Wishes, driver: str) -> dict[str, str]:
    """Spell the wishes as FFmpeg's device formats do."""
    options = {}
    if wishes.size_wh:
        options["video_size"] = "{}x{}".format(*wishes.size_wh)
    if wishes.fps:
        options["framerate"] = f"{wishes.fps:g}"
    if wishes.format:
        options["input_format" if driver == "v4l2" else "pixel_format"] = wishes.format
    return options


def errors() -> tuple[type[BaseException], ...]:
    """Return what opening may raise."""
    return (av.error.FFmpegError, OSError, ValueError)


def kind_of(exc: BaseException) -> str:
    """Tell what ended an attempt: ``silent``, ``refused``, ``login``, ``path``, or nothing that is known here."""
    kind = type(exc).__name__
    if isinstance(exc, (av.error.ExitError, av.error.TimeoutError)):
        return "silent"
    if isinstance(exc, ConnectionRefusedError):
        return "refused"
    if "Unauthorized" in kind or "Forbidden" in kind:
        return "login"
    return "path" if "NotFound" in kind and kind.startswith("HTTP") else ""


def why(exc: BaseException) -> str:
    """Return FFmpeg's own words for an error, without the place that it adds."""
    words = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return str(words).strip().rstrip(".")


def _sound(packet: Any) -> list[Any]:
    try:
        return [picture for picture in packet.decode() if not picture.is_corrupt]
    except av.error.FFmpegError:
        return []
