"""Which output is meant by what is typed, whether it can be, and several at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from answered import Answer, feed, frame

from edgevit.errors import UnsupportedError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.sinks import KINDS, Fan, open_sink


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
