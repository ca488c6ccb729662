"""Serve H.264 over RTSP, interleaved in its TCP connection, as a network camera does; and misbehave on demand.

Only what a reader needs is spoken: OPTIONS, DESCRIBE, SETUP, PLAY. Pictures are encoded once, before the server starts,
and sent in a loop at 30 a second; each NAL unit is one RTP packet, which TCP allows at any size.
"""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import struct
import threading
import time
from functools import cache

import av
import numpy as np

_SDP = """v=0\r
o=- 0 0 IN IP4 127.0.0.1\r
s=camera\r
t=0 0\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1\r
a=control:track0\r
"""
_RATE, _CLOCK = 30, 90_000


@cache
def pictures(size_wh: tuple[int, int] = (64, 48), count: int = 30) -> tuple[tuple[bytes, ...], ...]:
    """Return the NAL units of each of a second's pictures; the first begins anew, so the loop can be joined."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.framerate = "yuv420p", _RATE
    encoder.options = {"tune": "zerolatency", "x264-params": "keyint=10:annexb=1:repeat-headers=1:sliced-threads=0"}
    made = []
    for number in range(count):
        level = np.full((size_wh[1], size_wh[0], 3), 40 + 4 * number, np.uint8)
        packets = encoder.encode(av.VideoFrame.from_ndarray(level, format="rgb24"))
        made.append(tuple(unit for packet in packets for unit in _units(bytes(packet))))
    return tuple(made)


def _units(annex_b: bytes) -> list[bytes]:
    return [unit for unit in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


class _Connection(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
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
        more = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}",
            "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1",
        }.get(verb, "Session: 1")
        self._say("200 OK", number, more, _SDP if verb == "DESCRIBE" else "")
        if verb == "PLAY":
            self._play()
        return verb != "PLAY"

    def _say(self, status: str, number: str, more: str = "", body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\n{number}\r\n{more}\r\n\r\n{body}".encode())

    def _play(self) -> None:
        server, count, began_s = self.server, itertools.count(), time.monotonic()
        for shown, units in enumerate(itertools.cycle(server.pictures)):
            if server.ended.is_set() or shown == server.hang_up_after:
                server.hang_up_after = None
                return
            if shown == server.freeze_after:
                server.freeze_after = None
                server.ended.wait(30)
            for place, unit in enumerate(units):
                last = 0x80 if place + 1 == len(units) else 0
                head = struct.pack(">BBHII", 0x80, last | 96, next(count) & 0xFFFF, shown * _CLOCK // _RATE, 7)
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(head) + len(unit)) + head + unit)
            time.sleep(max(0.0, began_s + (shown + 1) / _RATE - time.monotonic()))


class RtspServer(socketserver.ThreadingTCPServer):
    """Run on a port of this machine until it is left. The first connection may be hung up on, or freeze."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, *, size_wh: tuple[int, int] = (64, 48), hang_up_after: int | None = None, freeze_after: int | None = None
    ) -> None:
        self.pictures = pictures(size_wh)
        self.hang_up_after, self.freeze_after = hang_up_after, freeze_after
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Connection)
        self.url = f"rtsp://127.0.0.1:{self.server_address[1]}/cam"

    def __enter__(self) -> RtspServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *what: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
