"""Serve H.264 or H.265 over RTSP, interleaved in its TCP connection, as a network camera does; misbehave on demand.

Only what a reader needs is spoken: OPTIONS, DESCRIBE, SETUP, PLAY. Pictures are encoded once, before the server starts,
and sent in a loop at 30 a second. As a program of its own it serves a loop of a given size until it is ended:

    python tests/support/rtsp_server.py 1920x1080
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache

import av
import numpy as np

_SDP = """v=0\r
o=- 0 0 IN IP4 127.0.0.1\r
s=camera\r
t=0 0\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 {}/90000\r
a=fmtp:96 packetization-mode=1\r
a=control:track0\r
"""
_RATE, _CLOCK = 30, 90_000
_ENCODERS = {"H264": ("libx264", "x264-params"), "H265": ("libx265", "x265-params")}
_LARGEST = 60_000
"""Bytes of a packet; more than 65,535 cannot be said in RTSP's frames, and longer NAL units are sent in parts."""

Picture = tuple[bytes, ...]
"""The NAL units of one picture."""
Act = Callable[[], Iterator["Picture | bytes | float"]]
"""What one connection gets, 30 a second: pictures, bytes that are no RTSP, or seconds of silence."""


@cache
def pictures(
    size_wh: tuple[int, int] = (64, 48), count: int = 30, codec: str = "H264", *, busy: bool = False
) -> tuple[Picture, ...]:
    """Return a second's pictures; the first begins anew, so the loop can be joined. ``busy`` ones move."""
    name, params = _ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.framerate = "yuv420p", _RATE
    keys = count if busy else 10
    quiet = ":log-level=none" if codec == "H265" else ":sliced-threads=0"
    encoder.options = {
        "tune": "zerolatency",
        "preset": "ultrafast",
        params: f"keyint={keys}:annexb=1:repeat-headers=1{quiet}",
    }
    made = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(_moving(number, size_wh) if busy else _level(number, size_wh), "rgb24")
        packets = [*encoder.encode(picture), *(encoder.encode(None) if number + 1 == count else [])]
        made += [tuple(_units(bytes(packet))) for packet in packets]
    return tuple(made)


def _level(number: int, size_wh: tuple[int, int]) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), 40 + 4 * number, np.uint8)


def _moving(number: int, size_wh: tuple[int, int]) -> np.ndarray:
    """Slide a texture over a gradient, so that a decoder has work as with a real scene."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width]
    waves = np.sin((x + 6 * number) / 23.0) * np.sin((y - 4 * number) / 17.0)
    grain = np.random.default_rng(0).integers(0, 24, (height, width))
    grey = 110 + 60 * waves + np.roll(grain, 3 * number, 1) + 20 * x / width
    return np.stack([grey, 0.8 * grey, 255 - grey], -1).clip(0, 255).astype(np.uint8)


def _units(annex_b: bytes) -> list[bytes]:
    return [unit for unit in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


def _payloads(unit: bytes) -> Iterator[bytes]:
    """Yield a NAL unit of H.264 as it is, or in parts (FU-A) if it is too long for one packet."""
    if len(unit) <= _LARGEST:
        yield unit
        return
    head, kind, body = unit[0] & 0xE0 | 28, unit[0] & 0x1F, unit[1:]
    for at in range(0, len(body), _LARGEST):
        first, last = at == 0, at + _LARGEST >= len(body)
        yield bytes((head, kind | first << 7 | last << 6)) + body[at : at + _LARGEST]


# ---- acts


def loop(size_wh: tuple[int, int] = (64, 48), codec: str = "H264", *, busy: bool = False) -> Act:
    """Show the same second for ever."""
    return lambda: itertools.cycle(pictures(size_wh, codec=codec, busy=busy))


def then(count: int, *after: Act, size_wh: tuple[int, int] = (64, 48), codec: str = "H264") -> Act:
    """Show so many pictures, and then do something else, or hang up."""

    def act() -> Iterator[Picture | bytes | float]:
        yield from itertools.islice(itertools.cycle(pictures(size_wh, codec=codec)), count)
        for other in after:
            yield from other()

    return act


def freezes() -> Iterator[Picture | bytes | float]:
    """Keep the line open and say nothing."""
    yield 30.0


def noise() -> Iterator[Picture | bytes | float]:
    """Send packets whose contents are noise, for ever."""
    rng = np.random.default_rng(0)
    while True:
        yield (rng.bytes(800),)


def babble() -> Iterator[Picture | bytes | float]:
    """Send what is not even RTSP."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        yield rng.bytes(900)


class _Connection(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        with self.server.lock:
            acts = self.server.acts
            self._codec, self._act = acts.pop(0) if len(acts) > 1 else acts[0]
        with contextlib.suppress(OSError):
            while self._answer():
                pass

    def _answer(self) -> bool:
        lines = list(iter(lambda: self.rfile.readline().strip().decode(), ""))
        if not lines:
            return False
        verb, url, _ = lines[0].split(" ", 2)
        number = next(line for line in lines if line.lower().startswith("cseq"))
        if verb == "DESCRIBE" and not url.split("?")[0].rstrip("/").endswith("/cam"):
            self._say("404 Not Found", number)
            return True
        sdp = _SDP.format(self._codec)
        more = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}",
            "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1",
        }.get(verb, "Session: 1")
        self._say("200 OK", number, more, sdp if verb == "DESCRIBE" else "")
        if verb == "PLAY":
            self._play()
        return verb != "PLAY"

    def _say(self, status: str, number: str, more: str = "", body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\n{number}\r\n{more}\r\n\r\n{body}".encode())

    def _play(self) -> None:
        server, count, began_s = self.server, itertools.count(), time.monotonic()
        for shown, what in enumerate(self._act()):
            if server.ended.is_set():
                return
            if isinstance(what, float):
                server.ended.wait(what)
            elif isinstance(what, bytes):
                self.wfile.write(what)
            else:
                self._send(what, shown, count)
            time.sleep(max(0.0, began_s + (shown + 1) / _RATE - time.monotonic()))

    def _send(self, units: Picture, shown: int, count: Iterator[int]) -> None:
        parts = [part for unit in units for part in _payloads(unit)]
        for place, part in enumerate(parts):
            last = 0x80 if place + 1 == len(parts) else 0
            head = struct.pack(">BBHII", 0x80, last | 96, next(count) & 0xFFFF, shown * _CLOCK // _RATE, 7)
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(head) + len(part)) + head + part)


class RtspServer(socketserver.ThreadingTCPServer):
    """Run on a port of this machine until it is left. Each connection gets the next act, the last one for ever.

    An act may come with the codec that the server says it is: ``("H265", loop(codec="H265"))``.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *acts: Act | tuple[str, Act], port: int = 0) -> None:
        self.acts = [act if isinstance(act, tuple) else ("H264", act) for act in acts or (loop(),)]
        pictures()  # before anybody waits for them
        self.ended, self.lock = threading.Event(), threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)
        self.url = f"rtsp://127.0.0.1:{self.server_address[1]}/cam"

    def __enter__(self) -> RtspServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *what: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()


def main() -> None:
    """Serve a loop of the size that was asked for, and print where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", help="width x height, such as 1920x1080")
    width, height = map(int, parser.parse_args().size.split("x"))
    pictures((width, height), busy=True)
    server = RtspServer(loop((width, height), busy=True))
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
