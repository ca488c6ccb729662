"""Serve H.264 or H.265 over RTSP, interleaved in its TCP connection, as a network camera does; misbehave on demand.

Only what a reader needs is spoken: OPTIONS, DESCRIBE, SETUP, PLAY. Pictures are encoded once, before the server starts,
and sent in a loop at 30 a second. As a program of its own it serves a loop of a given size until it is ended:

    python tests/support/rtsp_server.py 1920x1080 --fps 30 --pictures 90

Then it prints its address, and of each connection when its first picture went out on the clock of ``time.monotonic``.
Every picture has its number written into it, so that whoever answers for it can tell how old it is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
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

BITS, BLOCK = 12, 32
"""How a number is written into a picture: a block of so many pixels for each bit, light for one, the lowest first."""

Picture = tuple[bytes, ...]
"""The NAL units of one picture."""
Act = Callable[[], Iterator["Picture | bytes | float"]]
"""What one connection gets, 30 a second: pictures, bytes that are no RTSP, or seconds of silence."""


@cache
def pictures(size_wh: tuple[int, int] = (64, 48), count: int = 30, codec: str = "H264") -> tuple[Picture, ...]:
    """Return a second's pictures; the first begins anew, so the loop can be joined."""
    return tuple(_encoded((_level(number, size_wh) for number in range(count)), size_wh, codec, keys=10))


@cache
def moving(size_wh: tuple[int, int], count: int) -> tuple[Picture, ...]:
    """Return pictures in which much moves, as in a street, and which carry their numbers; each second begins anew."""
    return tuple(_encoded((street(number, size_wh) for number in range(count)), size_wh, "H264", keys=30))


def _encoded(raw: Iterable[np.ndarray], size_wh: tuple[int, int], codec: str, *, keys: int) -> Iterator[Picture]:
    name, params = _ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.framerate = "yuv420p", _RATE
    quiet = ":log-level=none" if codec == "H265" else ":sliced-threads=0"
    encoder.options = {
        "tune": "zerolatency",
        "preset": "ultrafast",
        params: f"keyint={keys}:min-keyint={keys}:annexb=1:repeat-headers=1{quiet}",
    }
    for picture in (*(av.VideoFrame.from_ndarray(one, format="rgb24") for one in raw), None):
        for packet in encoder.encode(picture):
            yield tuple(_units(bytes(packet)))


def _level(number: int, size_wh: tuple[int, int]) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), 40 + 4 * number, np.uint8)


def street(number: int, size_wh: tuple[int, int]) -> np.ndarray:
    """Slide a texture over another one; in the first row of blocks stands the number, a bit each."""
    width, height = size_wh
    texture = np.random.default_rng(0).integers(40, 200, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    still = texture.repeat(8, 0).repeat(8, 1)[:height, :width]
    picture = np.roll(still, 4 * number, 1)
    top, left = height // 3, (5 * number) % (width // 2)
    picture[top : top + height // 3, left : left + width // 3] = still[: height // 3, : width // 3]
    for bit in range(BITS):
        picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    return picture


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


def loop(size_wh: tuple[int, int] = (64, 48), codec: str = "H264") -> Act:
    """Show the same second for ever."""
    return lambda: itertools.cycle(pictures(size_wh, codec=codec))


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
        server.began(began_s)
        for shown, what in enumerate(self._act()):
            if server.ended.is_set():
                return
            if isinstance(what, float):
                server.ended.wait(what)
            elif isinstance(what, bytes):
                self.wfile.write(what)
            else:
                self._send(what, shown, count)
            time.sleep(max(0.0, began_s + (shown + 1) / server.fps - time.monotonic()))

    def _send(self, units: Picture, shown: int, count: Iterator[int]) -> None:
        parts = [part for unit in units for part in _payloads(unit)]
        for place, part in enumerate(parts):
            last = 0x80 if place + 1 == len(parts) else 0
            head = struct.pack(">BBHII", 0x80, last | 96, next(count) & 0xFFFF, shown * _CLOCK // self.server.fps, 7)
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(head) + len(part)) + head + part)


class RtspServer(socketserver.ThreadingTCPServer):
    """Run on a port of this machine until it is left. Each connection gets the next act, the last one for ever.

    An act may come with the codec that the server says it is: ``("H265", loop(codec="H265"))``.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        *acts: Act | tuple[str, Act],
        port: int = 0,
        fps: int = _RATE,
        began: Callable[[float], object] = lambda _: None,
    ) -> None:
        self.fps, self.began = fps, began
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
    parser.add_argument("--fps", type=int, default=_RATE)
    parser.add_argument("--pictures", type=int, default=3 * _RATE, help=f"how many make the loop, up to {2**BITS}")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    made = moving((width, height), asked.pictures)
    server = RtspServer(
        lambda: itertools.cycle(made), fps=asked.fps, began=lambda at_s: print(f"began {at_s}", flush=True)
    )
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
