"""Real Chromium opens the page of what is served with the token once, tries a picture, and asks nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import served_here

playwright: Any = pytest.importorskip("playwright.sync_api")
for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("There is no /usr/bin/chromium. Type: make system-deps", allow_module_level=True)

TOKEN = "shown-once-in-the-address"


@pytest.mark.slow
def test_the_page_is_opened_by_its_token_and_tries_a_picture(tmp_path: Path) -> None:
    here = served_here.start_folder(served_here.folder(tmp_path), token=TOKEN)
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(served_here.picture())
    faults: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{here.running.url}?token={TOKEN}")
        assert page.url == here.running.url
        part = page.locator("section").filter(has=page.locator("input[data-path='/v1/good']"))
        part.locator("input").set_input_files(str(picture))
        shown = part.locator("pre").nth(1)
        playwright.expect(shown).to_contain_text('"top"', timeout=60_000)
        playwright.expect(shown).to_contain_text("triangle")
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert here.close()
    assert faults == []
    assert wide <= 390, "a phone shows it without scrolling sideways"
    assert {url.partition("/")[2].partition("/")[2].partition("/")[0] for url in asked} == {
        f"127.0.0.1:{here.running.address.port}"
    }
