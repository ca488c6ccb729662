"""A server that goes away, falls silent, comes back or asks for a token, as a real browser shows it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from page_browser import DESK, PHONE, Run, fits, tab, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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


def test_a_server_that_falls_silent_is_noticed_though_nothing_was_closed(browser: Any, tmp_path: Path) -> None:
    made = Run(tmp_path, "run", "shvit_shapes", "synthetic://shapes?count=30&fps=4&size=120x160")
    with tab(browser, made.url, **DESK) as seen:
        page = seen.page
        seen.says("Live")
        made.signal(signal.SIGSTOP)
        try:
            seen.says("Reconnecting")
            seen.says("The connection is lost: what is shown is old.")
            assert page.get_by_text("No new picture for").is_visible()
            assert page.get_by_role("button", name="Pause").is_disabled()
            assert page.get_by_role("link", name="Download log").count() == 0, "there is nothing to load it from"
        finally:
            made.signal(signal.SIGCONT)
        seen.says("Live")
        until(lambda: page.get_by_text("No new picture for").is_hidden())
        assert page.get_by_role("button", name="Pause").is_enabled()
        assert "connection is lost" not in page.inner_text("#words")
        page.get_by_role("button", name="Pause").click()
        seen.says("Paused")
    made.end()
