"""``--serve`` on ``edgevit run`` and ``edgevit track``, typed as a user types it; the page itself is in apps/viewer."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path

import blob_onnx
import pytest
import red_box
import tiny_bundles

from edgevit.cli import main

pytest.importorskip("onnxruntime")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(blob_onnx.write(tmp_path_factory.mktemp("tracker") / "blob").path)


@pytest.fixture
def album(tmp_path: Path) -> str:
    return str(red_box.folder(tmp_path / "album", [red_box.picture(n) for n in range(4)]))


CLIP = "synthetic://clip?kind=plain&count=6&size=96x128&fps=60"


def test_a_page_waits_for_a_box_and_plays_on(tracker: str, capsys: Capture) -> None:
    """Twice through a clip of six frames that knows its target: none is followed unless somebody says so."""
    assert main(["track", CLIP, "--bundle", tracker, "--serve", "0", "--limit", "12", "--json"]) == 0
    captured = capsys.readouterr()
    *answers, last = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer["index"] for answer in answers] == list(range(12))
    assert {len(answer["tracks"]) for answer in answers} == {0}
    assert "page" in last["ledger"]["stages"]
    assert re.search(r"The page is at http://127\.0\.0\.1:\d+/ \(this machine alone", captured.err)


def test_a_box_may_be_typed_as_well_and_once_ends_with_the_film(tracker: str, album: str, capsys: Capture) -> None:
    words = ["track", album, "--bundle", tracker, "--serve", "0", "--once", "--box", red_box.FIRST, "--json"]
    assert main(words) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:-1]
    assert [len(answer["tracks"]) for answer in answers] == [1] * 4


def test_run_serves_a_page_beside_its_outputs(tracker: str, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    assert main(["run", tracker, CLIP, str(told), "--serve", "0", "--limit", "9"]) == 0
    assert [json.loads(line)["index"] for line in told.read_text().splitlines()] == list(range(9))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["track", "{album}", "--serve", "eighty"], "'eighty' has no port from 0 to 65535"),
        (["run", "{tracker}", "{album}", "--serve", "http://localhost"], "is a URL or a path, not an address"),
        (
            ["run", "{tracker}", "nowhere.mp4", "--serve", "0.0.0.0:9464", "--metrics", "9464"],
            "--serve 0.0.0.0:9464 and --metrics 9464 are one port; each needs its own. Type: --metrics 127.0.0.1:9465",
        ),
        (["track", "nowhere.mp4", "--metrics", ":8080", "--serve", "8080"], "Type: --metrics 127.0.0.1:9464"),
        (["track", "{album}", "--serve", "0", "--show"], "Leave --show and --point out"),
        (["track", "{album}", "--serve", "0", "--point", "52,50"], "Leave --show and --point out"),
        (["track", "{album}", "--once", "--box", red_box.FIRST], "--once is for a page. Type: --serve 8080"),
        (["run", "{tracker}", "{album}", "--record-dir", "x"], "--record-dir is for a page. Type: --serve 8080"),
        (["run", "{tracker}", "{album}", "--allow-host", "x"], "--allow-host is for a page. Type: --serve 8080"),
        (["run", "{tracker}", "{album}x", "--serve", "0"], "Did you mean"),
        (["track", "{album}", "--serve", "0", "--on-error", "skip"], "--on-error is for one target in one input"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    words: list[str], sentence: str, tracker: str, album: str, capsys: Capture
) -> None:
    given = [word.format(tracker=tracker, album=album) for word in words]
    assert main([*given, *(["--bundle", tracker] if given[0] == "track" else [])]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_classifier_is_no_tracker_on_a_page_either(album: str, tmp_path: Path, capsys: Capture) -> None:
    classifier = str(tiny_bundles.write(tmp_path / "classifier").path)
    assert main(["track", album, "--bundle", classifier, "--serve", "0"]) == 2
    assert "a bundle made to track is needed here" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(album: str, capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["track", album, "--serve", str(taken.getsockname()[1])]) == 3
    assert "is taken by another program. Type another port" in capsys.readouterr().err


def test_without_the_packages_the_pip_line_is_told(
    tracker: str, album: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("starlette", "starlette.applications", "uvicorn"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["track", album, "--bundle", tracker, "--serve", "0"]) == 3
    assert "Type: pip install 'edgevit[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_page_and_run_and_give_the_port_back(number: int, code: int, tracker: str) -> None:
    words = [sys.executable, "-m", "edgevit", "track", CLIP, "--bundle", tracker, "--serve", "0"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    killer = threading.Timer(120, process.kill)
    killer.start()
    where = next(line for line in process.stderr if "The page is at" in line)
    port = int(re.findall(r":(\d+)/", where)[0])
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    process.send_signal(number)
    told = process.stderr.read()
    assert process.wait(60) == code, told
    killer.cancel()
    socket.create_server(("127.0.0.1", port)).close()
