"""``--metrics`` as it is typed, with ``run`` and with ``track``: told while it runs, gone with it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import blob_onnx
import onnx_files
import pytest
import tiny_bundles
from web_asking import Client, figure, until

from edgevit.cli import main

for _package in ("onnxruntime", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)


def scrape(words: list[str], wanted: str) -> bytes:
    """Type a verb, scrape it until a figure is above nought, end it, and return the last scrape."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevit", *words, "--metrics", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    texts: list[bytes] = []
    try:
        found = (re.search(r"The figures are at (http://127\.0\.0\.1:\d+/)metrics\.", line) for line in process.stderr)
        client = Client(next(match[1] for match in found if match))
        until(lambda: _told(_kept(texts, client.ask("/metrics").body), wanted))
        client.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    return texts[-1]


def _kept(texts: list[bytes], text: bytes) -> bytes:
    texts.append(text)
    return text


def _told(text: bytes, name: str) -> bool:
    try:
        return figure(text, name) > 0
    except AssertionError:
        return False


def test_a_run_tells_its_ledger(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    bundle = str(tiny_bundles.write(tmp_path / "bundle", content=content).path)
    words = ["run", bundle, "synthetic://shapes?count=100000&fps=100", "--own-pace"]
    text = scrape(words, "edgevit_frames_answered_total")
    assert figure(text, "edgevit_frame_age_seconds_count", stage="inference") > 0
    assert figure(text, "edgevit_bundle_info", model="tiny", task="classify") == 1


def test_a_tracker_tells_its_ledger(tmp_path: Path) -> None:
    tracker = str(blob_onnx.write(tmp_path / "blob").path)
    text = scrape(["track", "synthetic://clip?count=5000", "--bundle", tracker], "edgevit_frames_answered_total")
    assert figure(text, "edgevit_bundle_info", task="track") == 1


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--metrics", "nowhere"], 2, "has no port from 0 to 65535"),
        (["--metrics", "0", "--point", "3,3"], 2, "without --serve and --metrics"),
        (["--allow-host", "board.local"], 2, "is for a page"),
    ],
)
def test_what_cannot_be_is_told(words: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", "synthetic://clip?count=3", *words]) == code
    assert sentence in capsys.readouterr().err
