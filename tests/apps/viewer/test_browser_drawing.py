"""Boxes drawn in a real browser with a mouse, a finger or keys: followed, recorded, stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from page_browser import CLIP, DESK, PHONE, PICTURE, Run, colours, fits, nameless, tab, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
        seen.says("Enter begins a box, arrows move it")
        for key in ("Enter", *["ArrowRight"] * 20, "ArrowUp", "Shift+ArrowLeft", "Enter"):
            page.keyboard.press(key)
        seen.says("is followed.")
        shown = seen.picture()
        left, _, right, _ = shown["result"]["tracks"][0]["box_xyxy"]
        width = shown["result"]["size_hw"][1]
        assert abs(right - 0.98 * width) < 1, "it stops at the edge"
        assert abs(right - left - 0.28 * width) < 1, "and keeps its size there"
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
