"""Which output is meant by what is typed, whether it can be, and several at once."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from answered import Answer, feed, frame

from edgevit.errors import EdgevitError, UnsupportedError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import KINDS, Fan, open_sink
from edgevit.runtime.sources import open_source


@dataclass
class Recorder:
    """Be a sink that remembers, or fails."""

    place: str = "here"
    fault: Exception | None = None
    written: int = 0
    closed: int = 0

    def write(self, frame: Frame, result: Any) -> None:
        self.written += 1

    def close(self) -> None:
        self.closed += 1
        if self.fault:
            raise self.fault


def test_several_sinks_all_get_and_all_finish_even_if_one_fails() -> None:
    first, broken, last = Recorder("a"), Recorder("b", UsageError("disk full")), Recorder("c")
    fan = Fan([first, broken, last])
    fan.write(frame(), Answer(frame()))
    with pytest.raises(UsageError, match="disk full"):
        fan.close()
    assert [(s.written, s.closed) for s in (first, broken, last)] == [(1, 1)] * 3
    assert fan.place == "a, b, c"


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "x.xyz",
            r"not clear what to write to x\.xyz: '\.xyz' is no suffix .* For a folder of that name type: x\.xyz/",
        ),
        ("x.json", r"JSON lines \(\.jsonl"),
        ("rtsp://host/x", "does not write to 'rtsp://host/x'"),
        ("", "does not write to ''"),
    ],
)
def test_an_output_that_is_not_known_is_refused(place: str, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        open_sink(place)


def test_a_place_that_cannot_be_is_told_when_the_sink_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=r"file is a file, so nothing can be written into it"):
        open_sink(f"{tmp_path}/file")
    with pytest.raises(UsageError, match="cannot be made"):
        open_sink(tmp_path / "file" / "deeper" / "x.jsonl")
    with pytest.raises(UsageError, match="is a folder; a file of that name cannot be written"):
        open_sink(tmp_path / "folder.png", kind="picture")


def test_the_kind_can_be_said(tmp_path: Path) -> None:
    feed(tmp_path / "answers.txt", frame(), kind="jsonl")
    feed(f"{tmp_path}/v1.2/", frame(0, "a.png"))
    feed("null://", frame())
    assert json.loads((tmp_path / "answers.txt").read_text())["index"] == 0
    assert (tmp_path / "v1.2" / "a.png").exists()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_opens(kind: str) -> None:
    assert callable(KINDS.load(kind).sink_of)


# ---- writes that hang


def test_a_run_whose_output_hangs_ends_and_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the pipe, so opening it never returns; closing it must not wait for that either."""
    monkeypatch.setattr("edgevit.runtime.sinks.lines.PATIENCE_S", 0.1)
    place = tmp_path / "told.jsonl"
    os.mkfifo(place)
    sink = open_sink(place)
    pipeline = Pipeline(Answer, map(frame, range(50)), [sink], plan=Plan(stall_s=0.5))
    with pytest.raises(EdgevitError, match=r"The output .*told\.jsonl has been at one frame for 0\.5 s"):
        pipeline.run()
    sink.close()
    os.close(os.open(place, os.O_RDONLY | os.O_NONBLOCK))  # lets the thread that was left behind go


def test_a_film_that_hangs_is_finished_by_who_hangs_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr("edgevit.runtime.sinks.video.PATIENCE_S", 0.1)
    sink: Any = open_sink(tmp_path / "x.mp4")
    encode, hangs, goes_on = sink._encode, threading.Event(), threading.Event()

    def hanging(*given: Any) -> None:
        hangs.set()
        goes_on.wait(60)
        encode(*given)

    monkeypatch.setattr(sink, "_encode", hanging)

    def write() -> None:
        sink.write(frame(), Answer(frame()))
        sink.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert hangs.wait(60)
    sink.close()
    assert not (tmp_path / "x.mp4").exists()
    goes_on.set()
    thread.join(60)
    assert len(list(open_source(tmp_path / "x.mp4"))) == 1
