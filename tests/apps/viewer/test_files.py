"""The files of the page: each is served with strict headers, is short and says its rule; none asks another server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from shown_page import Shown

from edgevit.apps.draw import WARNING
from edgevit.apps.draw_tracks import COLOURS, LOST

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")

STATIC = Path(__file__).parents[3] / "apps" / "viewer" / "static"
MODULES = {path.name: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js"))}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg"}
MOST_LINES = 200


def imported(text: str) -> set[str]:
    """Return what a module imports, as it is written there."""
    return set(re.findall(r"""^(?:import|export \{)[^;"']*["']([^"']+)["'];""", text, re.M))


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir()))
def test_every_file_comes_as_it_is_with_strict_headers(shown: Shown, name: str) -> None:
    status, body, headers = shown.get("/" if name == "index.html" else f"/{name}")
    assert (status, body) == (200, (STATIC / name).read_bytes())
    assert headers["content-type"].startswith(KINDS[Path(name).suffix])
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_nothing_else_is_served(shown: Shown) -> None:
    for path in ("/../page.py", "/static/viewer.js", "/index.html", "/page.py"):
        assert shown.get(path)[0] == 404, path


def test_the_modules_are_those_that_the_page_reaches_and_no_others() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    (first,) = re.findall(r'<script type="module" src="([^"]+)"></script>', page)
    assert page.count("<script") == 1
    reached: set[str] = set()
    open_ends = {first}
    while open_ends:
        name = open_ends.pop()
        assert name in MODULES, "imported, but not there to be served"
        reached.add(name)
        paths = imported(MODULES[name])
        assert all(path.startswith("./") for path in paths), "a browser without a build step finds nothing else"
        open_ends |= {path.removeprefix("./") for path in paths} - reached
    assert reached == set(MODULES)


def test_what_a_module_exports_somebody_imports() -> None:
    wanted = {
        word.strip()
        for text in MODULES.values()
        for words in re.findall(r"^import \{([^}]+)\}", text, re.M)
        for word in words.split(",")
    }
    offered = {
        word
        for text in MODULES.values()
        for word in re.findall(r"^export (?:async )?(?:function|class|const) ([\w$]+)", text, re.M)
    }
    assert offered
    assert offered == wanted


def test_targets_have_the_colours_that_they_have_in_videos_and_none_is_that_of_doubt() -> None:
    (told,) = re.findall(r"COLOURS = (\[[^\]]+\])", MODULES["overlay.js"])
    assert json.loads(told) == [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS]
    for name, colour in (("WARNING", WARNING), ("LOST", LOST)):
        assert f'{name} = "#{bytes(colour).hex()}"' in MODULES["overlay.js"]
        apart = [sum(abs(a - b) for a, b in zip(own, colour, strict=True)) for own in COLOURS]
        assert min(apart) > 100, "it can be told from the others at a glance"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_short_and_begins_with_its_rule(name: str) -> None:
    assert re.match(r"// [A-Z].{30,}\n", MODULES[name])
    assert MODULES[name].count("\n") <= MOST_LINES


def test_the_files_ask_for_nothing_from_elsewhere_and_hold_no_script_of_their_own() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in "".join(line for line in text.splitlines() if "http" in line), path
        assert not re.search(r"""(?:["'(]|=\s*)//\w""", text), path
        assert not re.search(r"@import|sourceMappingURL|\bimport\s*\(|\beval\s*\(|innerHTML", text), path
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert " style=" not in page
    assert " on" + "click" not in page
    assert "<style" not in page
