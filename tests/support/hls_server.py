"""Serve HLS over HTTP: segments that were encoded once, in a list that is whole or grows as a live one does."""

from __future__ import annotations

import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

SEGMENT_S, RATE = 0.5, 30
_WINDOW = 3


@cache
def segments(count: int = 24, size_wh: tuple[int, int] = (64, 48)) -> tuple[bytes, ...]:
    """Return MPEG-TS segments of half a second each, whose pictures get lighter."""
    each = round(SEGMENT_S * RATE)
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.m3u8")
        options = {"hls_time": str(SEGMENT_S), "hls_list_size": "0", "hls_segment_filename": f"{folder}/%04d.ts"}
        with av.open(str(path), "w", format="hls", options=options) as container:
            keys = {"tune": "zerolatency", "x264-params": f"keyint={each}:min-keyint={each}:scenecut=0"}
            stream = container.add_stream("libx264", rate=RATE, options=keys)
            stream.width, stream.height = size_wh
            for number in range(count * each):
                level = np.full((size_wh[1], size_wh[0], 3), 30 + number % 200, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(level, "rgb24")))
            container.mux(stream.encode(None))
        return tuple(part.read_bytes() for part in sorted(Path(folder).glob("*.ts")))


class _Answer(BaseHTTPRequestHandler):
    server: HlsServer

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        name = self.path.partition("?")[0].lstrip("/")
        if name == "live.m3u8":
            data: bytes | None = self.server.list().encode()
        else:
            number = name.partition(".")[0]
            there = number.isdecimal() and int(number) < len(self.server.segments)
            data = self.server.segments[int(number)] if there else None
        if data is None or self.server.gone.is_set():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp2t")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: Any) -> None:
        pass


class HlsServer(ThreadingHTTPServer):
    """Run on a port of this machine. ``live`` lets the list grow by itself, up to ``stops_at`` segments."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, live: bool, stops_at: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.segments = segments()
        self.paths: list[str] = []
        self.gone = threading.Event()
        self._live, self._stops_at = live, stops_at
        self._began_s = time.monotonic()
        self.url = f"http://127.0.0.1:{self.server_port}/live.m3u8"

    def list(self) -> str:
        """Return the list as it stands."""
        head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        if not self._live:
            lines = [line for number in range(len(self.segments)) for line in (f"#EXTINF:{SEGMENT_S},", f"{number}.ts")]
            return "\n".join([*head, "#EXT-X-MEDIA-SEQUENCE:0", *lines, "#EXT-X-ENDLIST", ""])
        there = _WINDOW + int((time.monotonic() - self._began_s) / SEGMENT_S)
        there = min(there, self._stops_at or len(self.segments), len(self.segments))
        first = max(0, there - _WINDOW)
        lines = [line for number in range(first, there) for line in (f"#EXTINF:{SEGMENT_S},", f"{number}.ts")]
        return "\n".join([*head, f"#EXT-X-MEDIA-SEQUENCE:{first}", *lines, ""])

    def __enter__(self) -> HlsServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *what: object) -> None:
        self.shutdown()
        self.server_close()
