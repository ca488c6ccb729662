"""Serve pictures over HTTP as cameras do, one part after another, and misbehave on demand."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

Script = Callable[["Camera"], None]
"""What is done with one connection."""


def jpeg(number: int, size_wh: tuple[int, int] = (64, 48)) -> bytes:
    """Return a grey picture whose level tells its number."""
    held = io.BytesIO()
    level = np.full((size_wh[1], size_wh[0], 3), 40 + 4 * (number % 48), np.uint8)
    Image.fromarray(level).save(held, "JPEG", quality=95)
    return held.getvalue()


class Camera(BaseHTTPRequestHandler):
    """Answer one request by the next script of the server, the last one for ever."""

    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        with self.server.lock:
            scripts = self.server.scripts
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        with contextlib.suppress(OSError):  # the reader has gone, or the server ends
            script(self)
        self.close_connection = True

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()

    def part(self, data: bytes) -> None:
        if self.server.ended.is_set():
            raise BrokenPipeError
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data + b"\r\n")
        time.sleep(self.server.pause_s)

    def log_message(self, *words: Any) -> None:
        pass


def sends(count: int, *, size_wh: tuple[int, int] = (64, 48), then: Script | None = None, first: int = 0) -> Script:
    """Send so many pictures, and then do something else, or hang up."""

    def script(camera: Camera) -> None:
        camera.begin()
        for number in range(first, first + count):
            camera.part(jpeg(number, size_wh))
        if then is not None:
            then(camera)

    return script


def freezes(camera: Camera) -> None:
    """Keep the line open and say nothing."""
    camera.server.ended.wait(30)


def noise(camera: Camera) -> None:
    """Send parts that are no pictures, for ever."""
    camera.begin()
    rng = np.random.default_rng(0)
    while not camera.server.ended.is_set():
        camera.part(rng.bytes(2000))


def answers(code: int) -> Script:
    """Refuse."""
    return lambda camera: camera.send_error(code)


def serves(data: bytes) -> Script:
    """Send a file as a whole."""

    def script(camera: Camera) -> None:
        camera.send_response(200)
        camera.send_header("Content-Type", "video/mp4")
        camera.send_header("Content-Length", str(len(data)))
        camera.end_headers()
        camera.wfile.write(data)

    return script


class Server(ThreadingHTTPServer):
    """Run on a port of this machine until it is left."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *scripts: Script, port: int = 0, pause_s: float = 0.005) -> None:
        super().__init__(("127.0.0.1", port), Camera)
        self.scripts, self.pause_s = list(scripts), pause_s
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/video"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *what: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
