"""What is left of a run that breaks off: a full disk, a signal at any moment, a killed process."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
import tiny_bundles
from mjpeg_server import Server, sends
from paced import Kept, Told

from edgevit.cli import main
from edgevit.errors import EnvironmentFault
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sinks import open_sink

av: Any = pytest.importorskip("av")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.timeout(300)

NOISE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    return str(tiny_bundles.write(folder / "bundle", content=content).path)


class Noisy(Told):
    """Be a result that fills a disk."""

    def plot(self) -> Any:
        return np.roll(NOISE, 5 * self.frame.index, 1)


def result(index: int) -> Noisy:
    return Noisy(Frame(NOISE, "rgb", index * 33_333_333, index, "noise"))


def played(path: Path) -> int:
    """Decode a film to its end; return how many frames it has."""
    with av.open(str(path)) as container:
        times = [picture.pts for picture in container.decode(video=0)]
    assert times == sorted(set(times))
    return len(times)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond that size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- a full disk


@pytest.fixture(scope="module")
def film_bytes(tmp_path_factory: pytest.TempPathFactory) -> int:
    path = tmp_path_factory.mktemp("film") / "x.mp4"
    record(path, 120)
    assert played(path) == 120
    return path.stat().st_size


def record(path: Path, count: int) -> None:
    sink = open_sink(path)
    try:
        for index in range(count):
            one = result(index)
            sink.write(one.frame, one)
    finally:
        sink.close()


@pytest.mark.parametrize("missing", [1, 7, 60, 500, 1500, 3000, 6000, 20_000, 33_000, 100_000])
def test_a_film_on_a_full_disk_plays_up_to_there(missing: int, film_bytes: int, tmp_path: Path) -> None:
    """The last bytes are the index and the change at the beginning that points to it."""
    path = tmp_path / "x.mp4"
    with (
        room_for(film_bytes - missing),
        pytest.raises(
            EnvironmentFault,
            match=r"cannot be written any further: (File too large|No space left on device)\. .*plays up to there\. ",
        ),
    ):
        record(path, 120)
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]
    assert 25 <= played(path) <= 120


def test_a_film_that_has_no_room_at_all_leaves_nothing(tmp_path: Path) -> None:
    with room_for(10), pytest.raises(EnvironmentFault, match="any further"):
        record(tmp_path / "x.mp4", 120)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_other_containers_are_kept_as_well(suffix: str, film_bytes: int, tmp_path: Path) -> None:
    with room_for(film_bytes // 2), pytest.raises(EnvironmentFault, match="plays up to there"):
        record(tmp_path / f"x{suffix}", 120)
    with av.open(str(tmp_path / f"x{suffix}")) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB of its own, which takes the rights of root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if os.geteuid() or not mount or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here; the same is tested with a limit on files")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_run_on_a_full_disk_ends_in_order(small_disk: Path, tmp_path: Path) -> None:
    """The run ends with one sentence; the outputs on other disks have all that was answered."""
    film, lines, elsewhere = small_disk / "x.mp4", small_disk / "told.jsonl", Kept("elsewhere")
    sinks = [open_sink(film), open_sink(lines), elsewhere]
    pipeline = Pipeline(Noisy, (result(index).frame for index in range(5000)), sinks)
    with pytest.raises(EnvironmentFault, match=r"No space left on device.* Make room, or write to another"):
        pipeline.run()
    assert elsewhere.closed == 1
    assert elsewhere.indices == list(range(len(elsewhere.indices)))
    assert played(film) > 20
    assert [json.loads(line)["index"] for line in lines.read_text().splitlines()] == list(
        range(lines.read_text().count("\n"))
    )


def test_the_command_says_it_in_one_sentence(
    bundle: str, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_disk / "filler").write_bytes(bytes(380_000))
    words = ["run", bundle, "synthetic://shapes?count=400", str(small_disk / "told.jsonl"), str(tmp_path / "x.csv")]
    assert main(words) == 3
    told = [line for line in capsys.readouterr().err.splitlines() if "edgevit:" in line]
    assert len(told) == 1
    assert "No space left on device. The lines before it are whole." in told[0]
    for line in (small_disk / "told.jsonl").read_text().splitlines():
        json.loads(line)
    assert len((tmp_path / "x.csv").read_text().splitlines()) > 10


# ---- signals


def broken_off(bundle: str, folder: Path, number: int, after_s: float, *, verb: str = "run") -> int:
    """Start a run in a process of its own, send it a signal, look at what it left; return how many lines that was."""
    folder.mkdir()
    lines, rows, film = folder / "told.jsonl", folder / "rows.csv", folder / "film.mp4"
    with Server(sends(100_000)) as server:
        source = server.url if verb == "run" else "synthetic://shapes?count=100000"
        outputs = [str(rows), str(film)] if verb == "run" else [str(film)]
        words = [sys.executable, "-m", "edgevit", verb, bundle, source, str(lines), *outputs]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        began_s = time.monotonic()
        while not lines.exists() and process.poll() is None and time.monotonic() - began_s < 60:
            threading.Event().wait(0.02)
        if after_s > 0:
            time.sleep(after_s)
        os.kill(process.pid, number)
        err = process.communicate(timeout=90)[1]
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(signal.Signals(number), -number), err
    assert "Traceback" not in err
    left = lines.read_text().splitlines() if lines.exists() else []
    indices = [json.loads(line)["index"] for line in left]
    assert indices == sorted(set(indices))
    for path, told in ((lines, left), (rows, rows.read_text().splitlines() if rows.exists() else [])):
        assert not told or path.read_text().endswith("\n")
    if rows.exists():
        assert {len(row) for row in csv.reader(rows.read_text().splitlines())} == {11}
    if number == signal.SIGKILL:
        films = [path for path in folder.glob("film.*.part.mp4") if path.stat().st_size > 1000]
        assert not films or played(films[0])
        return len(left)
    assert {path.name for path in folder.iterdir()} <= {"told.jsonl", "rows.csv", "film.mp4"}
    if len(left) > 1:  # the lines are written before the film; a slow sink misses answers, but not the first
        assert played(film) > 0
    return len(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_at_the_first_answer_leaves_whole_files(number: int, bundle: str, tmp_path: Path) -> None:
    broken_off(bundle, tmp_path / "x", number, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["run", "predict"])
def test_signals_at_random_moments_leave_whole_files(number: int, verb: str, bundle: str, tmp_path: Path) -> None:
    rng = random.Random(number)
    counts = [
        broken_off(bundle, tmp_path / f"{round_}", number, rng.uniform(0.0, 3.0), verb=verb) for round_ in range(6)
    ]
    assert any(counts)


def test_a_killed_recording_is_found_and_played(tmp_path: Path) -> None:
    """It lies beside, under a name that says what it is, without its last moments."""
    script = (
        "import sys, time; sys.path[:0] = [sys.argv[2], sys.argv[3]]\n"
        "import test_breaking_off as t; from pathlib import Path\n"
        "sink = t.open_sink(Path(sys.argv[1]))\n"
        "for n in range(200): one = t.result(n); sink.write(one.frame, one)\n"
        "print('there', flush=True); time.sleep(60)\n"
    )
    here = Path(__file__).parent
    words = [sys.executable, "-c", script, str(tmp_path / "x.mp4"), str(here), str(here.parent / "support")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.kill()
    (left,) = tmp_path.iterdir()
    assert left.name == f"x.{process.pid}.part.mp4"
    assert played(left) >= 100


def test_a_film_that_is_closed_by_another_thread_while_it_grows_is_whole(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "x.mp4")
    written = itertools.count()

    def write() -> None:
        with contextlib.suppress(Exception):  # it is told that the film is finished
            while True:
                one = result(next(written))
                sink.write(one.frame, one)

    thread = threading.Thread(target=write)
    thread.start()
    while not (tmp_path / f"x.{os.getpid()}.part.mp4").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    sink.close()
    thread.join(60)
    assert played(tmp_path / "x.mp4") == next(written) - 1


@pytest.mark.parametrize("steps", range(1, 60))
def test_a_signal_in_the_middle_of_writing_costs_that_picture_at_most(steps: int, tmp_path: Path) -> None:
    sink: Any = open_sink(tmp_path / "x.mp4")
    left, written = [steps], 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_name not in ("write", "_begin", "_encode", "add_stream"):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        for index in range(4):
            one = result(index)
            sink.write(one.frame, one)
            written += 1
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    sink.close()
    sink.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"x.mp4"}
    if written:
        assert played(tmp_path / "x.mp4") in (written, written + 1)


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_signal_in_the_middle_of_finishing_finishes_first(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception of a signal may come between any two lines; here it comes at each in turn."""
    sink: Any = open_sink(tmp_path / "x.mp4")
    for index in range(5):
        one = result(index)
        sink.write(one.frame, one)
    left = [steps]

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_name not in ("_finish", "finish", "finish_begins"):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        sink.close()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    assert played(tmp_path / "x.mp4") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]
