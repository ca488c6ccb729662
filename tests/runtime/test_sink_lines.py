"""JSON lines and rows: each at once and whole."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import Answer, feed, frame

from edgevit.errors import BadOutputError, EnvironmentFault, UnsupportedError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.tracks import Track, Tracks


def test_each_line_is_there_at_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("old\n")
    sink = open_sink(path)
    for index in range(3):
        sink.write(frame(index), Answer(frame(index)))
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["index"] for line in lines] == list(range(index + 1))
    sink.close()
    assert json.loads(lines[0])["name"] == "größe"


def test_a_number_that_json_cannot_say_is_no_line(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "x.jsonl")
    sink.write(frame(), Answer(frame()))
    with pytest.raises(BadOutputError, match="JSON has no word"):
        sink.write(frame(), Answer(frame(), float("nan")))
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 1


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(tmp_path / "x.jsonl")
    sink.write(frame(), Answer(frame()))
    whole, calls, write = (tmp_path / "x.jsonl").read_bytes(), [0], os.write

    def filling(file: int, data: Any) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:5])

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(EnvironmentFault, match=r"No space left on device\. The lines before it are whole"):
        sink.write(frame(1), Answer(frame(1)))
    assert (tmp_path / "x.jsonl").read_bytes() == whole


def test_what_hinders_the_taking_back_does_not_hide_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    def filling(file: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    sink = open_sink(tmp_path / "x.jsonl")
    monkeypatch.setattr(os, "ftruncate", fails)
    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        sink.write(frame(), Answer(frame()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_the_reader_of_a_named_pipe_may_go_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = open_sink(path)
    sink.write(frame(), Answer(frame()))
    assert json.loads(os.read(reader, 1 << 16))["index"] == 0
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        sink.write(frame(1), Answer(frame(1)))
    sink.close()


def test_a_dash_is_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    feed("-", frame(4))
    assert json.loads(capsys.readouterr().out)["index"] == 4


def test_a_terminal_of_another_encoding_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    feed("-", frame())
    assert json.loads(raw.getvalue().decode("ascii"))["name"] == "größe"


def test_a_reader_who_leaves_is_told_without_a_mess_at_the_end() -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd()))
from edgevit.runtime.sinks import open_sink
class Answer:
    def to_dict(self): return {"x": "y" * 10000}
sink = open_sink("-")
try:
    for _ in range(100): sink.write(None, Answer())
except BrokenPipeError: print("reader gone", file=sys.stderr)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().decode().strip() == "reader gone"
        assert process.wait(30) == 0


def test_rows_have_one_header_and_are_there_at_once(tmp_path: Path) -> None:
    path, names = tmp_path / "x.csv", ("a, b", 'c "d"', "größe")
    sink = open_sink(path)
    for index in range(3):
        scores = np.roll(np.array([0.7, 0.2, 0.1], np.float32), index)
        sink.write(
            one := frame(index, "in,put.mp4", at_ns=index * 33_366_667),
            Classification(scores, names, one, Speed(1.0, 2.5, 0.25)),
        )
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["index"] for row in rows] == [str(n) for n in range(index + 1)]
    sink.close()
    assert [row["name"] for row in rows] == list(names)
    assert rows[1] == {
        "source": "in,put.mp4", "index": "1", "seconds": "0.033367", "height": "48", "width": "64", "class": "1",
        "name": 'c "d"', "score": "0.7", "preprocess_ms": "1.0", "inference_ms": "2.5", "postprocess_ms": "0.25",
    }  # fmt: skip


def test_a_target_is_a_row_and_a_frame_without_one_is_none(tmp_path: Path) -> None:
    def track(number: int, one: Frame) -> Track:
        return Track(np.array([1, 2, 30.5, 40], np.float32), 0.5, "tracking", number, one, Speed(1, 2, 3))

    frames = [frame(index) for index in range(3)]
    answers: list[Any] = [Tracks((), frames[0]), Tracks(map(track, (7, 9), frames[1:2] * 2), frames[1])]
    sink = open_sink(tmp_path / "x.csv")
    for one, answer in zip(frames, [*answers, track(7, frames[2])], strict=True):
        sink.write(one, answer)
    sink.close()
    header, *rows = (tmp_path / "x.csv").read_text().splitlines()
    assert header.split(",")[5:12] == ["id", "state", "score", "left", "top", "right", "bottom"]
    assert [row.split(",")[1] for row in rows] == ["1", "1", "2"]
    assert rows[1].split(",")[5:12] == ["9", "tracking", "0.5", "1.0", "2.0", "30.5", "40.0"]


def test_what_has_no_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"Rows can be written of classify and track, not of None\. Name a \.js"):
        feed(tmp_path / "x.csv", frame())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_a_late_writer_does_not_begin_the_file_anew(name: str, tmp_path: Path) -> None:
    sink = open_sink(tmp_path / name)
    answer = Classification(np.array([1.0], np.float32), ("a",), frame(), Speed(1, 1, 1))
    sink.write(answer.frame, answer)
    sink.close()
    whole = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match="is finished; it takes no more lines"):
        sink.write(answer.frame, answer)
    assert (tmp_path / name).read_bytes() == whole
