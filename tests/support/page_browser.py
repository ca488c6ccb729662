"""Drive ``edgevit … --serve``, a process of its own, in a real Chromium, at the size of a desk and of a phone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgevit.overlaps import overlaps
from edgevit.runtime.track_clips import box_in_name

CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 120_000.0
CLIP = "synthetic://clip?kind=plain&count=120&fps=6"
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
PICTURE = ".view canvas"


class Run:
    """Be ``edgevit`` with a page, as a process of its own."""

    def __init__(self, folder: Path, *words: str, port: int = 0) -> None:
        self.films = folder / "films"
        typed = [*words, "--serve", str(port), "--record-dir", str(self.films)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgevit", *typed],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.said: list[str] = []
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._told.wait(WAIT_MS / 1e3), self.said
        self.url = next(found[0] for line in self.said if (found := re.search(r"http://\S+/", line)))

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line.rstrip())
            if "The page is at" in line:
                self._told.set()
        self._told.set()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Press Ctrl-C and wait."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait(60)
        self._reader.join(10)
        return code


@dataclass
class Seen:
    """Hold a tab, and what it said and asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def picture(self) -> dict[str, Any]:
        """Return what the canvas shows: the frame's name, its number, the answer, and where it is on the screen."""
        shown: dict[str, Any] = self.page.eval_on_selector(
            PICTURE,
            """e => { const b = e.getBoundingClientRect(); return {
                source: e.dataset.source, index: Number(e.dataset.index), result: JSON.parse(e.dataset.result),
                left: b.left, top: b.top, width: b.width } }""",
        )
        return shown

    def target(self) -> tuple[float, float, float, float]:
        """Return where the target is on the screen: left, top, right, bottom."""
        shown = self.picture()
        box = box_in_name(shown["source"])
        assert box is not None, "a plain clip's target is always there"
        scale = shown["width"] / shown["result"]["size_hw"][1]
        left, top = shown["left"] + box[0] * scale, shown["top"] + box[1] * scale
        return left, top, left + box[2] * scale, top + box[3] * scale

    def draw(self) -> None:
        """Draw the target's box with the mouse. The picture stands still from the press on; where it had gone on
        between the look and the press, Escape and once more."""
        mouse = self.page.mouse
        while True:
            left, top, right, bottom = self.target()
            mouse.move(left, top)
            mouse.down()
            mouse.move(right, bottom, steps=2)
            if max(abs(now - seen) for now, seen in zip(self.target(), (left, top, right, bottom), strict=True)) < 9:
                break
            self.page.keyboard.press("Escape")
            mouse.up()
        stands = self.picture()["index"]
        time.sleep(1.5)
        assert self.picture()["index"] == stands, "what is drawn on stands still"
        mouse.up()

    def followed(self, frames: int) -> float:
        """Watch so many frames with a target, and return how much its boxes overlap the truth, on average."""
        found: dict[int, float] = {}
        ends_s = time.monotonic() + WAIT_MS / 1e3
        while len(found) < frames and time.monotonic() < ends_s:
            shown = self.picture()
            truth = box_in_name(shown["source"])
            if truth is not None and shown["result"]["tracks"]:
                left, top, right, bottom = shown["result"]["tracks"][0]["box_xyxy"]
                found[shown["index"]] = float(overlaps((left, top, right - left, bottom - top), truth))
            time.sleep(0.05)
        assert len(found) >= frames
        return sum(found.values()) / len(found)

    def says(self, words: str) -> None:
        self.page.get_by_role("status").filter(has_text=words).first.wait_for(timeout=WAIT_MS)


@contextmanager
def tab(browser: Any, url: str, **size: Any) -> Iterator[Seen]:
    context = browser.new_context(accept_downloads=True, **size)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    seen = Seen(page)
    page.on("console", lambda told: seen.errors.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda fault: seen.errors.append(str(fault)))
    page.on("request", lambda asked: seen.hosts.add(urlsplit(asked.url).netloc))
    page.on("websocket", lambda opened: seen.hosts.add(urlsplit(opened.url).netloc))
    page.goto(url)
    page.wait_for_selector(f"{PICTURE}[data-index]")
    yield seen
    context.close()


def until(true: Callable[[], object]) -> None:
    ends_s = time.monotonic() + WAIT_MS / 1e3
    while not true():
        assert time.monotonic() < ends_s
        time.sleep(0.1)


def colours(page: Any, selector: str) -> int:
    """Count the colours on a canvas."""
    count: int = page.eval_on_selector(
        selector,
        """e => new Set(new Uint32Array(e.getContext("2d").getImageData(0, 0, e.width, e.height).data.buffer)).size""",
    )
    return count


def fits(page: Any) -> None:
    """See that nothing scrolls sideways, and that what is touched is large enough."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = page.eval_on_selector_all(
        "button, a.button", "es => es.filter(e => e.offsetParent).map(e => [e.offsetWidth, e.offsetHeight])"
    )
    assert sizes
    assert all(width >= 44 and height >= 44 for width, height in sizes)


def nameless(page: Any) -> list[str]:
    """Return what can be used and has no name that could be read out."""
    found: list[str] = page.eval_on_selector_all(
        "button, a, canvas, nav, section",
        """es => es.filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") ||
               e.getAttribute("aria-labelledby"))).map(e => e.outerHTML)""",
    )
    return found
