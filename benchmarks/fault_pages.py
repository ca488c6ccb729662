"""Play what comes from the other end of a page: a viewer that never reads, and a thousand requests that are no good."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from edgevit.errors import EdgevitError

from .fault_streams import BUNDLE, Row, mjpeg_at_30

_SECONDS = 5
_REQUESTS = 1000
_READY = re.compile(r"(?:Serving .* at|The (?:page|figures) (?:is|are) at) (http://\S*[^\s.])")


def viewer_that_never_reads(folder: Path) -> Row:
    """Open the page's socket with the smallest of buffers, ask for pictures, read none; look at the answers' pace."""
    with mjpeg_at_30() as camera:
        words = ["run", BUNDLE, camera.url, str(folder / "told.jsonl"), "--serve", "0", "--metrics", "0"]
        with running(words, 2) as (process, (page, figures)):
            before = pace(figures)
            with deaf(page):
                during = pace(figures)
    said = f"nothing: {before:.1f} answers a second before, {during:.1f} while it was there. "
    return said + f"Ctrl-C: exit code {process.returncode}.", "0", "-", "-"


def strangers(folder: Path) -> Row:
    """Send requests with wrong tokens, hosts, paths, bodies and sizes, from many addresses; some know the token."""
    del folder
    token, rng = secrets.token_hex(16), random.Random(0)
    with running(["serve", BUNDLE, "127.0.0.1:0"], 1, token) as (process, (url,)):
        place = urlsplit(url).netloc
        answer_of(place, "GET", "/v1", None, {})
        before_kb = resident_kb(process.pid)
        statuses = Counter(asked(place, token, rng) for _ in range(_REQUESTS))
        grown_mb = (resident_kb(process.pid) - before_kb) / 1024
        health = answer_of(place, "GET", "/health", None, {"Authorization": f"Bearer {token}"})
    told = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    said = f"Answers: {told}. Then /health says {health}, and memory has changed by {grown_mb:+.1f} MB. "
    return said + f"Ctrl-C: exit code {process.returncode}.", "-", "-", "-"


def asked(place: str, token: str, rng: random.Random) -> int:
    """Ask for something that is wrong in some way, and return the status."""
    shown = rng.choice([token, token[:-1], token.upper(), "", rng.randbytes(6).hex()])
    headers = {"Authorization": f"Bearer {shown if rng.random() < 0.8 else token}"}
    if rng.random() < 0.2:
        headers["Host"] = rng.choice(["evil.example", "", "[::1"])
    path = rng.choice(
        [f"/v1/{BUNDLE}", f"/v1/{BUNDLE}", "/v1/none", "/v1/..%2f..%2fetc%2fpasswd", "/metrics", "/" * 900]
    )
    body = rng.choice([None, b"", rng.randbytes(50), rng.randbytes(30_000), b"\xff\xd8\xff" + rng.randbytes(3000)])
    comes_from = f"127.0.1.{rng.randrange(1, 100)}"  # all of 127 is this machine, and each address is a client
    return answer_of(place, "GET" if body is None else "POST", path, body, headers, comes_from)


def answer_of(
    place: str, method: str, path: str, body: bytes | None, headers: dict[str, str], comes_from: str = "127.0.0.1"
) -> int:
    """Ask on a connection of its own."""
    line = http.client.HTTPConnection(place, timeout=30, source_address=(comes_from, 0))
    try:
        line.request(method, path, body, headers)
        return line.getresponse().status
    finally:
        line.close()


@contextmanager
def running(words: list[str], urls: int, token: str = "") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a command until it has said so many addresses, and press Ctrl-C in the end."""
    given = {**os.environ, "EDGEVIT_TOKEN": token} if token else dict(os.environ)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=given,
    )
    assert process.stdout is not None
    try:
        said: list[str] = []
        found: list[str] = []
        while len(found) < urls:
            said.append(process.stdout.readline())
            if not said[-1]:
                raise EdgevitError(f"edgevit {' '.join(words)} ended: {''.join(said)}")
            found += _READY.findall(said[-1])
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, found
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def pace(figures: str) -> float:
    """Return the answers a second over a while, as the run's own figures count them."""

    def answered() -> float:
        with urlopen(figures, timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("edgevit_frames_answered_total"))

    time.sleep(1)
    first, began_s = answered(), time.monotonic()
    time.sleep(_SECONDS)
    return (answered() - first) / (time.monotonic() - began_s)


@contextmanager
def deaf(page: str) -> Iterator[None]:
    """Connect to the page's socket by hand, ask for the first source, and never read again."""
    place = urlsplit(page)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((place.hostname, place.port))
        sock.sendall(
            f"GET /live HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        sock.recv(1, socket.MSG_WAITALL)
        words, mask = json.dumps({"do": "watch", "lanes": [0]}).encode(), os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(words))
        sock.sendall(struct.pack("!BB", 0x81, 0x80 | len(words)) + mask + masked)
        yield


def resident_kb(pid: int) -> int:
    """Return what memory a process has, as Linux tells it."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])
