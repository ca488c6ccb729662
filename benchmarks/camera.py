"""Be a camera for the measurements: a loop that was encoded beforehand, served over RTSP by a process of its own.

So neither the encoder nor the sending is on the bill of what is measured. The number in each picture and the moment at
which the camera sent its first one tell how old any answer is, whoever gives it, without trusting its clock.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parents[1] / "tests" / "support" / "rtsp_server.py"
BITS, BLOCK = 12, 32
"""As the server writes numbers; this module is also read by interpreters that have no PyAV."""


class Camera:
    """Run the server until it is left; ``began_s`` holds when each connection's first picture was sent."""

    def __init__(self, size: str, *, fps: int = 30, pictures: int = 90, core: int | None = None) -> None:
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        words = [*pinned, sys.executable, str(SERVER), size, "--fps", str(fps), "--pictures", str(pictures)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.began_s: list[float] = []
        self.fps, self.pictures = fps, pictures
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *what: object) -> None:
        self.process.kill()
        self.process.wait()

    def began(self, connection: int = -1) -> float:
        """Return when a connection got its first picture, as soon as it is known."""
        until_s = time.monotonic() + 30
        while not self.began_s and time.monotonic() < until_s:
            time.sleep(0.01)
        return self.began_s[connection]

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.began_s.append(float(line.split()[1]))


def number_in(luma: Any) -> int:
    """Read the number of a picture from its brightness, (H, W)."""
    middle = BLOCK // 2
    return sum(int(luma[middle, bit * BLOCK + middle] > 125) << bit for bit in range(BITS))


class TrueAges:
    """Tell how old a numbered picture is that is answered now. Loops are told apart by going on from the last one."""

    def __init__(self, *, fps: int, pictures: int) -> None:
        self._fps, self._pictures = fps, pictures
        self._last = -1
        self.sent: list[int] = []
        self.at_s: list[float] = []

    def answered(self, number: int, now_s: float | None = None) -> None:
        """Note an answer."""
        ahead = (number - self._last) % self._pictures
        self._last = self._last + (ahead or self._pictures) if self._last >= 0 else number
        self.sent.append(self._last)
        self.at_s.append(time.monotonic() if now_s is None else now_s)

    def ages_ms(self, began_s: float) -> list[float]:
        """Return the ages, given when the camera began. The first answer is taken to be less than a loop old."""
        first_s = self.at_s[0] - began_s
        loops = int((first_s - self.sent[0] / self._fps) * self._fps // self._pictures)
        offset = loops * self._pictures
        return [(at - began_s - (n + offset) / self._fps) * 1e3 for n, at in zip(self.sent, self.at_s, strict=True)]
