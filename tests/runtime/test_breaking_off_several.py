"""What is left of a run over several sources that breaks off: each of its films can be played."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import onnx_files
import pytest
import tiny_bundles

av: Any = pytest.importorskip("av")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    return str(tiny_bundles.write(folder / "bundle", content=content).path)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_every_film_is_there_whatever_ended_the_run(number: signal.Signals, bundle: str, tmp_path: Path) -> None:
    sources = tmp_path / "two.streams"
    sources.write_text("synthetic://shapes?count=100000&fps=100\nsynthetic://clip?kind=plain&count=100000&fps=100\n")
    out = tmp_path / "out"
    words = [sys.executable, "-m", "edgevit", "run", bundle, str(sources), "--own-pace", f"{out}/seen.mkv"]
    process = subprocess.Popen(
        [*words, f"{out}/seen.mp4", f"{out}/told.jsonl"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    began_s = time.monotonic()
    answers = 300 if number == signal.SIGKILL else 30  # a piece of a second and what is in the encoder, or anything
    while fewest(out) < answers and process.poll() is None and time.monotonic() - began_s < 120:
        threading.Event().wait(0.05)
    process.send_signal(number)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number), err
    assert "Traceback" not in err
    part = f".{process.pid}.part" if number == signal.SIGKILL else ""
    films = {f"seen-{label}{part}{suffix}" for label in ("shapes", "clip") for suffix in (".mkv", ".mp4")}
    assert {path.name for path in out.iterdir()} == films | {"told.jsonl"}
    for film in films:
        with av.open(str(out / film)) as container:
            assert sum(1 for _ in container.decode(video=0)) > answers // 15
    lanes = [json.loads(line)["lane"] for line in (out / "told.jsonl").read_text().splitlines()]
    assert set(lanes) == {0, 1}


def fewest(out: Path) -> int:
    """Count the answers of the source that has the fewest, once all of its films have begun."""
    told = out / "told.jsonl"
    if not told.exists() or len(list(out.glob("seen-*.part.*"))) < 4:
        return 0
    lanes = [json.loads(line)["lane"] for line in told.read_text().splitlines() if line.endswith("}")]
    return min(lanes.count(0), lanes.count(1))
