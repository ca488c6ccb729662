"""``edgevit track … --serve`` in a real Chromium, at the size of a desk and of a phone: drawn, followed, recorded."""

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

import pytest

from edgevit.overlaps import overlaps
from edgevit.runtime.track_clips import box_in_name

CHROMIUM = Path("/usr/bin/chromium")

if not CHROMIUM.exists():
    pytest.skip("There is no /usr/bin/chromium. Type: make system-deps", allow_module_level=True)
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed. Type: pip install playwright")
for needed in ("uvicorn", "onnxruntime", "av", "PIL"):
    pytest.importorskip(needed)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    made = Run(tmp_path_factory.mktemp("page"), "track", CLIP)
    yield made
    assert made.end() == 130, made.said


def test_a_box_drawn_with_the_mouse_is_followed_recorded_and_stopped(browser: Any, run: Run, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with tab(browser, run.url, **DESK) as seen:
        page = seen.page
        assert seen.picture()["result"]["tracks"] == [], "it plays on, and nothing is followed yet"
        page.get_by_role("button", name="Record").click()
        seen.says("Recording, on the server.")
        seen.draw()
        seen.says("Target 1 is followed.")
        assert seen.followed(30) > 0.5
        assert colours(page, PICTURE) > 500
        assert colours(page, "#graph") > 10, "two lines, two bands and their grid"
        assert re.fullmatch(r"\d+", page.inner_text("#age-now"))
        assert float(page.inner_text("#fps")) > 0
        assert "95% below" in page.get_attribute("#graph", "aria-label")
        page.get_by_role("button", name="Stop 0:").click()
        seen.says("Recorded on the server")
        (film,) = run.films.iterdir()
        with av.open(str(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 20
        with page.expect_download() as downloading:
            page.get_by_role("link", name="Download log").click()
        downloading.value.save_as(tmp_path / "log.jsonl")
        assert '"state": "tracking"' in (tmp_path / "log.jsonl").read_text()
        fits(page)
        assert nameless(page) == []
        page.screenshot(path=str(tmp_path / "desk.png"))
        page.get_by_role("button", name="Stop following target 1").click()
        seen.says("Target 1 is followed no longer.")
        until(lambda: seen.picture()["result"]["tracks"] == [])
        assert seen.errors == []
        assert seen.hosts == {urlsplit(run.url).netloc}


def test_a_phone_draws_with_a_finger_or_taps(browser: Any, run: Run, tmp_path: Path) -> None:
    with tab(browser, run.url, **PHONE) as seen:
        page = seen.page
        fits(page)
        touch = page.context.new_cdp_session(page)
        left, top, right, bottom = seen.target()

        def at(kind: str, *points: tuple[float, float]) -> None:
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

        at("touchStart", (left, top))
        at("touchMove", ((left + right) / 2, (top + bottom) / 2))
        at("touchMove", (right, bottom))
        at("touchEnd")
        seen.says("is followed.")
        assert seen.followed(20) > 0.5
        assert page.evaluate("scrollY") == 0, "a finger on the picture draws, it does not scroll"
        page.get_by_role("button", name="Stop following").click()
        until(lambda: seen.picture()["result"]["tracks"] == [])
        left, top, right, bottom = seen.target()
        page.touchscreen.tap((left + right) / 2, (top + bottom) / 2)
        seen.says("is followed.")
        assert len(seen.picture()["result"]["tracks"]) <= 1
        page.screenshot(path=str(tmp_path / "phone.png"), full_page=True)
        page.get_by_role("button", name="Stop following").click()
        until(lambda: seen.picture()["result"]["tracks"] == [])
        assert seen.errors == []


def test_keys_do_all_that_a_mouse_does(browser: Any, run: Run) -> None:
    with tab(browser, run.url, **DESK) as seen:
        page = seen.page
        page.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Enter")
        seen.says("Paused")
        stands = seen.picture()["index"]
        page.focus(PICTURE)
        for key in ("Enter", "ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Enter"):
            page.keyboard.press(key)
        seen.says("is followed.")
        shown = seen.picture()
        assert shown["index"] == stands
        assert len(shown["result"]["tracks"]) == 1, "it is shown, though no answer came"
        page.get_by_role("button", name="Go on").press("Enter")
        until(lambda: seen.picture()["index"] > stands)
        page.get_by_role("button", name="Stop following").press("Enter")
        until(lambda: seen.picture()["result"]["tracks"] == [])
        page.focus(PICTURE)
        for key in ("Enter", *["Shift+ArrowLeft"] * 15, *["Shift+ArrowUp"] * 15, "Enter"):
            page.keyboard.press(key)
        seen.says("holds nothing to follow")
        assert seen.errors == []


def test_the_page_comes_back_with_the_server(browser: Any, tmp_path: Path) -> None:
    words = ("run", "shvit_shapes", "synthetic://shapes?count=30&fps=4&size=120x160")
    first = Run(tmp_path, *words)
    with tab(browser, first.url, **DESK) as seen:
        seen.says("Live")
        until(lambda: seen.page.locator("#best-list li").count() == len(seen.picture()["result"]["top"]) > 1)
        assert seen.page.locator("#targets").is_hidden()
        first.end()
        seen.says("The run has ended: interrupted")
        again = Run(tmp_path, *words, port=int(urlsplit(first.url).port or 0))
        seen.says("Live")
        index = seen.picture()["index"]
        until(lambda: seen.picture()["index"] != index)
        again.end()


def test_a_token_opens_the_page_and_leaves_the_address(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a-token-for-the-phone"
    monkeypatch.setenv("EDGEVIT_TOKEN", token)
    made = Run(tmp_path, "run", "shvit_shapes", "synthetic://shapes?count=30&fps=4&size=120x160")
    assert token not in "\n".join(made.said)
    with tab(browser, f"{made.url}?token={token}", **PHONE) as seen:
        seen.says("Live")
        assert seen.page.url == made.url
        fits(seen.page)
        assert seen.errors == []
        stranger = browser.new_context().new_page()
        assert stranger.goto(made.url).status == 401
    made.end()


def test_several_sources_stand_side_by_side_and_alone(browser: Any, tmp_path: Path) -> None:
    places = tmp_path / "two.streams"
    places.write_text(f"{CLIP}&seed=3\n{CLIP}&seed=4\n")
    made = Run(tmp_path, "track", str(places))
    with tab(browser, made.url, **PHONE) as seen:
        page = seen.page
        until(lambda: page.locator(f"{PICTURE}[data-index]").count() == 2)
        fits(page)
        page.get_by_role("button", name=re.compile("synthetic")).nth(1).click()
        assert page.locator(f"{PICTURE}:visible").count() == 1
        box = page.locator(f"{PICTURE}:visible").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        seen.says("Target 1 is followed.")
        until(lambda: "Source 2, target 1" in page.inner_text("#target-list"))
        assert seen.errors == []
    made.end()
