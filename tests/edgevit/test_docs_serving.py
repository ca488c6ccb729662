"""What docs/serving.md says to type is typed, with the real curl at the real verb, and answered as it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import import_law as law
import pytest
import red_box
import served_here

from edgevit.apps.serve.schema import ERRORS
from edgevit.apps.serve.serving import Wishes
from edgevit.apps.serve.shelf import MOST_PIXELS
from edgevit.cli import VERBS, parser_of

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

TEXT = law.ROOT.joinpath("docs/serving.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"
TOKEN = "a-token-for-the-docs"


def typed(heading: str) -> list[str]:
    """Return the curl commands under a heading, each with its comment."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in part.splitlines() if line.startswith("curl ")]


@pytest.fixture(scope="module", params=["Asking", "Following a target", "With a token"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Start the verb as the page says; return the heading, where it listens, and a folder with a picture."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("typed")
    folder.joinpath("picture.jpg").write_bytes(served_here.picture(size_wh=(320, 240)))
    red_box.folder(folder, [red_box.picture(index) for index in range(2)])
    model = "hit_nano" if request.param == "Following a target" else "shvit_shapes"
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevit", "serve", model, "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "EDGEVIT_TOKEN": TOKEN if request.param == "With a token" else ""},
    )
    assert process.stdout is not None
    yield request.param, json.loads(process.stdout.readline())["url"].rstrip("/"), folder
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_every_curl_is_answered_as_the_page_says(server: tuple[str, str, Path]) -> None:
    heading, url, folder = server
    lines = typed(heading)
    assert len(lines) == {"Asking": 6, "Following a target": 4, "With a token": 6}[heading]
    run = ""
    for line in lines:
        command, _, said = line.partition("#")
        assert ADDRESS in command
        done = subprocess.run(
            command.replace("curl ", "curl -sS -m 60 --noproxy '*' -w '\\n%{http_code}' ", 1).replace(ADDRESS, url),
            shell=True,
            cwd=folder,
            env={**os.environ, "EDGEVIT_TOKEN": TOKEN, "RUN": run},
            capture_output=True,
            text=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        assert status == said.split()[0], f"{line}: {done.stdout} {done.stderr}"
        if heading == "Following a target":
            run = json.loads(body).get("run", run)
        elif "--data-binary" in command and status == "200":
            shown = json.loads(TEXT.partition("```json\n")[2].partition("```")[0])
            assert set(json.loads(body)) == set(shown)
            assert set(json.loads(body)["top"][0]) == set(shown["top"][0])


def test_every_verb_line_is_one_that_can_be_typed() -> None:
    lines = [line.partition("#")[0].split() for line in TEXT.splitlines() if line.startswith("edgevit serve")]
    assert len(lines) == 4
    for _, verb, *words in lines:
        parser_of(verb, VERBS.load(verb)).parse_args(words)


def test_the_table_of_errors_names_all_there_are_and_the_numbers_are_the_defaults() -> None:
    table = TEXT.partition("## Errors\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    assert {int(number) for row in rows for number in re.findall(r"\d{3}", row)} == set(ERRORS)
    wishes = Wishes()
    for words in (
        f"`--max-body` ({wishes.most_body_bytes >> 20} MB)",
        f"({wishes.rate_per_s:.0f}, and {4 * wishes.rate_per_s:.0f} at once)",
        f"({wishes.depth} a bundle)",
        f"`--timeout` ({wishes.timeout_s:.0f} s)",
        f"more than {MOST_PIXELS // 1_000_000} megapixels",
    ):
        assert words in table
    defaults = vars(parser_of("serve", VERBS.load("serve")).parse_args(["x"]))
    assert (defaults["queue"], defaults["timeout"], defaults["rate"]) == (
        wishes.depth,
        wishes.timeout_s,
        wishes.rate_per_s,
    )
    assert defaults["max_body"] << 20 == wishes.most_body_bytes
