"""Give the tests of the page a page with two cameras, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import page_browser
import pytest
from shown_page import Camera, Shown


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with Shown(tmp_path, [Camera(), Camera()]).running() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not page_browser.CHROMIUM.exists():
        pytest.skip("There is no /usr/bin/chromium. Type: make system-deps")
    for needed in ("uvicorn", "onnxruntime", "av", "PIL"):
        pytest.importorskip(needed)
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed. Type: pip install playwright")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(page_browser.CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()
