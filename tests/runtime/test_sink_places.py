"""A place that cannot be written is told when the output is opened, and opening makes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from answered import Answer, feed, frame

from edgevit.cli import main
from edgevit.errors import UsageError
from edgevit.runtime.sinks import check_folder, check_outputs, open_sink

pytest.importorskip("av")

OUTPUTS = ("x.jsonl", "x.csv", "x.mp4", "x.mkv", "x.png", "shots/", "deeper/still/x.jsonl", "deeper/shots")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
@pytest.mark.parametrize("name", OUTPUTS)
def test_proc_takes_no_files_not_even_of_root(name: str) -> None:
    with pytest.raises(UsageError, match=r"Nothing can be written into /proc.*Name another place, such as ~/\w+"):
        open_sink(f"/proc/{name}")


@pytest.mark.parametrize("name", OUTPUTS)
def test_opening_makes_nothing_and_the_first_answer_makes_it_all(name: str, tmp_path: Path) -> None:
    place = f"{tmp_path}/new/{name}"
    open_sink(place).close()
    check_outputs([place])
    assert not list(tmp_path.iterdir())
    if not name.endswith("csv"):  # rows are of the tasks' own results
        feed(place, frame(0, "a.png"))
        assert Path(place).exists()


def test_what_is_there_is_not_touched_by_opening(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x.csv", "x.mp4", "x.png"):
        (tmp_path / name).write_bytes(b"older")
        open_sink(tmp_path / name).close()
        assert (tmp_path / name).read_bytes() == b"older"


def test_a_place_without_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may do everything; so the system's answer is played."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edgevit.runtime.sinks.places.tempfile.TemporaryFile", denied)
    with pytest.raises(UsageError, match=r"Nothing can be written into .*: Permission denied\. .* such as ~/x\.mp4"):
        open_sink(tmp_path / "x.mp4")
    (tmp_path / "told.jsonl").touch()
    open_sink(tmp_path / "told.jsonl").close()  # it grows where it is, so its folder does not matter
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match=r"told\.jsonl is there already and may not be written over\. Name another"):
        open_sink(tmp_path / "told.jsonl")


@pytest.mark.parametrize("name", [f"{'x' * 300}.mp4", f"{'x' * 300}.jsonl", f"{'x' * 300}/"])
def test_a_name_that_is_too_long_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File name too long"):
        open_sink(f"{tmp_path}/{name}")


def test_a_home_of_nobody_is_told() -> None:
    with pytest.raises(UsageError, match=r"cannot be found: .* Type the folder itself"):
        open_sink("~no-such-user-here/x.jsonl")


def test_a_folder_that_is_a_file_is_told_whoever_asks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UsageError, match="is a file"):
            check_folder(folder)
    assert check_folder(tmp_path / "new") == tmp_path / "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_goes_away_is_made_again(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/shots/")
    for index in range(2):
        sink.write(frame(index), Answer(frame(index)))
        (tmp_path / "shots" / f"frame-{index:06d}.jpg").unlink()
        (tmp_path / "shots").rmdir()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
@pytest.mark.parametrize("verb", ["run", "predict", "track"])
def test_outputs_are_looked_at_before_any_camera(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_camera(*_: object, **__: object) -> None:
        raise AssertionError("a camera was opened")

    monkeypatch.setattr("edgevit.runtime.sources.opening.KINDS.load", no_camera)
    words = ["track", "0"] if verb == "track" else [verb, "shvit_shapes", "0"]
    assert main([*words, "/proc/x.jsonl"]) == 2
    assert "Nothing can be written into /proc" in capsys.readouterr().err
    if verb != "predict":
        assert main([*words, "--serve", "0", "--record-dir", "/proc/films"]) == 2
        assert "Nothing can be written into /proc/films" in capsys.readouterr().err
