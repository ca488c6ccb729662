"""Play what cameras do wrong: servers on real sockets, and the shipped classifier that goes on answering."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import Any

from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source

from .camera import SERVER

sys.path.insert(0, str(SERVER.parent))
import mjpeg_server
import rtsp_server

BUNDLE = "shvit_shapes"
Row = tuple[str, str, str, str]
"""What the user saw, reconnects, drops, and how long there was no answer."""


def streamed(server: Any, *, answers: int = 60, after: Callable[[], object] | None = None) -> Row:
    """Run the classifier on a server's stream until it has come back and answered for a while."""
    at_s: list[float] = []
    with server, load(find_bundle(BUNDLE), threads=1) as session:
        source: Any = open_source(f"{server.url}?timeout=1s")
        if after is not None:
            Timer(1.0, after).start()
        pipeline = Pipeline(session, source, on_result=lambda _: at_s.append(time.monotonic()))

        def enough(elapsed_s: float) -> None:
            if elapsed_s > 20 or (len(at_s) > answers and elapsed_s > 4):
                pipeline.stop("seen enough")

        report = pipeline.run(enough)
    (told,) = report.sources
    gap_s = max((b - a for a, b in pairwise(at_s)), default=0.0)
    said = source.faults[0].replace(server.url, "the camera") if source.faults else "nothing: it went on"
    return said, str(told.reconnects), str(told.dropped + told.late), f"{gap_s:.2f} s"


def mjpeg_at_30(port: int = 0) -> mjpeg_server.Server:
    """Make a server of 30 pictures a second."""
    return mjpeg_server.Server(mjpeg_server.sends(10**6), port=port, pause_s=1 / 30)


def mjpeg_that(then: mjpeg_server.Script | None, folder: Path) -> Row:
    """Let an MJPEG camera do something after 40 pictures."""
    return streamed(mjpeg_server.Server(mjpeg_server.sends(40, then=then), mjpeg_server.sends(10**6), pause_s=1 / 30))


def rtsp_that(*then: rtsp_server.Act, folder: Path) -> Row:
    """Let an RTSP camera do something after 40 pictures."""
    return streamed(rtsp_server.RtspServer(rtsp_server.then(40, *then), rtsp_server.loop()))


def other_codec(folder: Path) -> Row:
    """Let a camera hang up and come back with another codec and size."""
    return streamed(rtsp_server.RtspServer(rtsp_server.then(40), ("H265", rtsp_server.loop((96, 80), "H265"))))


def larger(camera: mjpeg_server.Camera) -> None:
    """Go on with pictures of another size."""
    for number in range(10**6):
        camera.part(mjpeg_server.jpeg(number, (80, 96)))


def restarted(make: Callable[..., Any], folder: Path) -> Row:
    """End a server after a second, and start it anew at its port half a second later."""
    first, again = make(), []

    def swap() -> None:
        first.__exit__()
        time.sleep(0.5)
        again.append(make(port=first.server_address[1]).__enter__())

    row = streamed(_Entered(first), after=swap)
    for server in again:
        server.__exit__()
    return row


class _Entered:
    """Be a server that is left elsewhere."""

    def __init__(self, server: Any) -> None:
        self._server, self.url = server, server.url

    def __enter__(self) -> None:
        self._server.__enter__()

    def __exit__(self, *what: object) -> None:
        pass


def clock_jumps(folder: Path) -> Row:
    """Set this process's idea of the time of day back by an hour, in the middle of a run."""
    real = time.time

    def jump() -> None:
        time.time = lambda: real() - 3600

    try:
        row = streamed(mjpeg_at_30(), after=jump)
    finally:
        time.time = real
    return row
