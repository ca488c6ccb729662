"""A killed export leaves no half bundle for long, and two exports under one name do not mix."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_bundles

from edgevit import disk
from edgevit.bundle import open_bundle, staging
from edgevit.cli import ending, main
from edgevit.errors import EdgevitError, UsageError

ROOT = Path(__file__).parents[2]
HALF = """
import sys, time
from pathlib import Path
from edgevit.bundle import staging
with staging(sys.argv[1]) as folder:
    (folder / "model.onnx").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def half_done(out: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that is in the middle of building a bundle."""
    process = subprocess.Popen([sys.executable, "-c", HALF, str(out)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_builds_is_not(tmp_path: Path) -> None:
    with half_done(tmp_path / "one") as process:
        (part,) = names(tmp_path)
        assert part.startswith(".one.")
        tiny_bundles.write(tmp_path / "two")
        assert names(tmp_path) == [part, "two"]
        process.kill()
        process.wait()
        assert names(tmp_path) == [part, "two"]  # nobody could tidy up
        tiny_bundles.write(tmp_path / "three")
        assert names(tmp_path) == ["three", "two"]


def test_only_our_own_leavings_are_swept(tmp_path: Path) -> None:
    for name in (".mine.abcdefgh.part", ".x.abcdefgh.part", ".unsealed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years")
    (tmp_path / ".link.abcdefgh.part").symlink_to(tmp_path / ".x.abcdefgh.part")
    before = names(tmp_path)
    tiny_bundles.write(tmp_path / "b")
    assert names(tmp_path) == sorted([*before, "b"])
    assert (tmp_path / ".mine.abcdefgh.part" / "thesis.txt").read_text() == "years"


def test_a_bundle_that_was_set_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    tiny_bundles.write(tmp_path / "b", content=b"older")
    part = tmp_path / ".b.abcdefgh.part"
    (part / "unsealed").mkdir(parents=True)
    (tmp_path / "b").rename(part / "unsealed.old")  # killed here, between the two renames
    tiny_bundles.write(tmp_path / "other")
    assert names(tmp_path) == ["b", "other"]
    assert open_bundle(tmp_path / "b").graph_file().read_bytes() == b"older"


def seal_together(out: Path, monkeypatch: pytest.MonkeyPatch, *, force: bool, count: int = 4) -> list[str]:
    """Let some exports reach the renaming at the same moment, all sure that the name is free."""
    barrier, faults = threading.Barrier(count), list[str]()
    monkeypatch.setattr("edgevit.bundle.check_out", lambda *args, **kwargs: barrier.wait(30))

    def one(number: int) -> None:
        try:
            tiny_bundles.write(out, force=force, content=b"%d" % number * 1000, more={"mine.txt": b"%d" % number})
        except EdgevitError as fault:
            faults.append(f"{type(fault).__name__}: {fault}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


@pytest.mark.parametrize("force", [False, True])
def test_of_exports_that_finish_together_one_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    if force:
        tiny_bundles.write(tmp_path / "b", content=b"older")
    faults = seal_together(tmp_path / "b", monkeypatch, force=force)
    assert len(faults) == (0 if force else 3), faults
    assert all(fault.startswith("UsageError") and "--force" in fault for fault in faults)
    assert names(tmp_path) == ["b"]
    bundle = open_bundle(tmp_path / "b")
    number = bundle.file("mine.txt").read_bytes()
    assert bundle.graph_file().read_bytes() == number * 1000


def test_a_name_that_is_taken_meanwhile_is_not_moved_aside_without_force(tmp_path: Path) -> None:
    with staging(tmp_path / "b") as folder:
        (folder / "x").write_bytes(b"x")
        tiny_bundles.write(tmp_path / "b", content=b"faster")
        with pytest.raises(FileExistsError):
            disk.put_in_place(folder, tmp_path / "b", force=False)
    assert open_bundle(tmp_path / "b").graph_file().read_bytes() == b"faster"
    with pytest.raises(UsageError, match="--force"):
        tiny_bundles.write(tmp_path / "b")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_takes_away_what_is_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr("edgevit.cli.entry._run", lambda words: half_then_ended(tmp_path / "b", number))
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert main(["export"]) == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert names(tmp_path) == []


def half_then_ended(out: Path, number: signal.Signals) -> int:
    with staging(out) as folder:
        (folder / "model.onnx").write_bytes(b"half")
        os.kill(os.getpid(), number)
        time.sleep(30)
    raise AssertionError("the signal was not heard")


def test_a_signal_that_is_ignored_or_handled_is_left_alone() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with ending.ending_in_order():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_real_export_that_is_killed_leaves_no_half_bundle(tmp_path: Path, number: signal.Signals) -> None:
    words = ["export", "shvit_shapes", "--format", "onnx", "--out", str(tmp_path / "b")]
    process = subprocess.Popen([sys.executable, "-m", "edgevit", *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(tmp_path.glob(".b.*.part/unsealed")):
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(120) == (-signal.SIGKILL if number is signal.SIGKILL else 128 + number)
    assert not (tmp_path / "b").exists()
    if number is signal.SIGKILL:
        assert len(names(tmp_path)) == 1
        tiny_bundles.write(tmp_path / "next")
        (tmp_path / "next").rename(tmp_path.with_name(f"{tmp_path.name}-next"))
    assert names(tmp_path) == []
