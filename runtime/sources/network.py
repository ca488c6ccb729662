"""Read streams from the network: ``rtsp://``, and ``http(s)://`` with MJPEG or HLS. A file behind a URL is a video.

``transport=tcp`` is RTSP's default here: over UDP a lost packet is a torn picture.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from edgevit.errors import EdgevitError, InputError, missing

from . import address
from .live import Feed, Live
from .protocol import OnError, Source
from .video import Video


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Connect; what has an end is read to it, frame by frame, and what has none is live."""
    uri, wishes = address.split(place, address.NETWORK, strict=False)
    name = address.shown(uri)
    feed = connected(uri, name, wishes)
    if getattr(feed, "finite", False):
        feed.close()
        reel = importlib.import_module("edgevit.runtime.sources.video_av").open_reel
        return Video(name, on_error=on_error, open_reel=lambda _: reel(uri, name))
    waiting = [feed]
    again = partial(connected, uri, name, wishes)
    return Live(name, lambda: waiting.pop() if waiting else again(), retries=wishes.retries)


def connected(uri: str, name: str, wishes: address.Wishes) -> Feed:
    """Open one connection, or say what is in the way."""
    try:
        road = importlib.import_module("edgevit.runtime.sources.live_av")
    except ImportError as exc:
        raise missing("av", "Reading a stream", "camera") from exc
    options = {"rtsp_transport": wishes.transport or "tcp"} if uri.lower().startswith("rtsp") else {}
    try:
        feed: Feed = road.open_feed(uri, name, timeout_s=wishes.timeout_s, options=options)
    except EdgevitError:
        raise
    except road.errors() as exc:
        raise InputError(_sentence(uri, name, exc, road, wishes)) from exc
    return feed


def _sentence(uri: str, name: str, exc: BaseException, road: Any, wishes: address.Wishes) -> str:
    if road.timed_out(exc):
        return f"{name} does not answer within {wishes.timeout_s:g} s. Is the camera on, and the address right?"
    words = address.without_login(uri, road.why(exc))
    kind = type(exc).__name__
    if "Unauthorized" in kind or "Forbidden" in kind:
        return f"{name} wants another user or password ({words}). Type: {uri.partition('://')[0]}://user:password@…"
    if "NotFound" in kind and kind.startswith("HTTP"):
        return f"{name} is not there ({words}): the machine answers, the path is wrong."
    if isinstance(exc, ConnectionRefusedError):
        return f"{name} refuses: nothing listens at that port. Is the camera on, and the address right?"
    return f"{name} cannot be opened: {words}. Expected a stream of pictures: RTSP, MJPEG or HLS."
