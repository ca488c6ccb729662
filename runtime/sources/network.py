"""Read streams from the network: ``rtsp://``, and ``http(s)://`` with MJPEG or HLS. A file behind a URL is a video.

``transport=tcp`` is RTSP's default here: over UDP a lost packet is a torn picture.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from edgevit.errors import EdgevitError, InputError

from . import address
from .live import Feed, Live
from .protocol import OnError, Source
from .roads import live_road
from .video import Video


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Connect; what has an end is read to it, frame by frame, and what has none is live."""
    uri, wishes = address.split(place, address.NETWORK, strict=False)
    name = address.shown(uri)
    feed = connected(uri, name, wishes)
    if getattr(feed, "finite", False):
        feed.close()
        reel = live_road("Reading a video").open_reel
        return Video(name, on_error=on_error, open_reel=lambda _: reel(uri, name))
    waiting = [feed]
    again = partial(connected, uri, name, wishes)
    return Live(name, lambda: waiting.pop() if waiting else again(), retries=wishes.retries)


def connected(uri: str, name: str, wishes: address.Wishes) -> Feed:
    """Open one connection, or say what is in the way."""
    road = live_road("Reading a stream")
    try:
        feed: Feed = road.open_stream(uri, name, wishes)
    except EdgevitError:
        raise
    except road.errors() as exc:
        raise InputError(_sentence(uri, name, exc, road, wishes)) from exc
    return feed


def _sentence(uri: str, name: str, exc: BaseException, road: Any, wishes: address.Wishes) -> str:
    words, kind = address.without_login(uri, road.why(exc)), road.kind_of(exc)
    if kind == "silent":
        return f"{name} does not answer within {wishes.timeout_s:g} s. Is the camera on, and the address right?"
    if kind == "login":
        return f"{name} wants another user or password ({words}). Type: {uri.partition('://')[0]}://user:password@…"
    if kind == "path":
        return f"{name} is not there ({words}): the machine answers, the path is wrong."
    if kind == "refused":
        return f"{name} refuses: nothing listens at that port. Is the camera on, and the address right?"
    return f"{name} cannot be opened: {words}. Expected a stream of pictures: RTSP, MJPEG or HLS."
