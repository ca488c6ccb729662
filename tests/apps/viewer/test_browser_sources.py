"""Sources that are several, many, or change their size, in a real browser."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_browser import CLIP, DESK, PHONE, PICTURE, Run, fits, tab, until
from shown_page import SMALL, WAIT_S, Camera, Shown

from edgevit.runtime.frame import Frame

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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


def test_a_phone_scrolls_past_many_sources_and_their_names_stay_in_one_row(browser: Any, tmp_path: Path) -> None:
    places = tmp_path / "many.streams"
    places.write_text("".join(f"synthetic://clip?kind=plain&count=60&fps=2&seed={seed}\n" for seed in range(6)))
    made = Run(tmp_path, "track", str(places))
    with tab(browser, made.url, **PHONE) as seen:
        page = seen.page
        until(lambda: page.locator(f"{PICTURE}[data-index]").count() == 6)
        fits(page)
        assert len(set(page.eval_on_selector_all("#tabs button", "es => es.map(e => e.offsetTop)"))) == 1
        finger = page.context.new_cdp_session(page)
        for n in range(12):
            place = {"x": 195, "y": 600 - 30 * n}
            kind = "touchMove" if n else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        until(lambda: page.evaluate("scrollY") > 100)
        assert page.inner_text("#words").startswith("Draw a box"), "a finger that scrolls draws none"
        assert seen.errors == []
    made.end()


class Turning(Camera):
    """Yield wide pictures and high ones by turns, as a phone does that is turned."""

    def __iter__(self) -> Iterator[Frame]:
        wide, high = np.zeros((90, 160, 3), np.uint8), np.zeros((160, 90, 3), np.uint8)
        for frame in super().__iter__():
            pixels = wide if frame.index // 40 % 2 else high
            yield Frame(pixels, "rgb", frame.captured_ns, frame.index, self.name)


def test_a_source_may_change_its_size(browser: Any, tmp_path: Path) -> None:
    """The picture keeps its own shape on the screen, which is what boxes are drawn by."""
    told = "e => [Number(e.dataset.index), e.clientWidth / e.clientHeight]"
    made = Shown(tmp_path, [Turning(every_s=0.05)])
    with made.running(), tab(browser, f"http://127.0.0.1:{made.port}/", **DESK) as seen:
        turns: set[int] = set()
        while len(turns) < 3:
            index, ratio = seen.page.eval_on_selector(PICTURE, told)
            turns.add(index // 40)
            assert abs(ratio - (160 / 90 if index // 40 % 2 else 90 / 160)) < 0.02
        assert seen.errors == []


class Stalling(Camera):
    """Yield some pictures and no more until it is told to."""

    def __init__(self) -> None:
        super().__init__(every_s=0.05)
        self.goes_on = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            if frame.index > 100:
                self.goes_on.wait(WAIT_S)
            yield Frame(SMALL, "rgb", time.monotonic_ns(), frame.index, self.name)


def test_a_source_that_stalls_is_said_on_its_picture_alone(browser: Any, tmp_path: Path) -> None:
    stalling = Stalling()
    made = Shown(tmp_path, [stalling, Camera(every_s=0.05)])
    with made.running(), tab(browser, f"http://127.0.0.1:{made.port}/", **DESK) as seen:
        note = seen.page.locator(".view .silence:visible")
        note.wait_for()
        assert note.count() == 1
        assert re.fullmatch(r"No new picture for \d+ s", note.inner_text())
        stalling.goes_on.set()
        until(lambda: note.count() == 0)
        assert seen.errors == []
