"""The loop behind ``edgevit predict``: what goes in, what comes out, and what is kept when it breaks off."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.apps import predict as app
from edgevit.apps.predict import Summary, predict
from edgevit.errors import EngineError, InputError, UsageError
from edgevit.pictures import read_picture, write_picture
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Classification, Result, Speed
from edgevit.runtime.sinks import WindowClosed
from edgevit.runtime.sources import open_source


class Fake:
    """Answer by the colour of the middle; break down at a given frame."""

    def __init__(self, breaks_at: int | None = None, fault: BaseException | None = None) -> None:
        self.seen: list[Frame] = []
        self.closed = False
        self._breaks_at = breaks_at
        self._fault = fault or EngineError("The engine gave up.")

    def __call__(self, frame: Frame) -> Result:
        if frame.index == self._breaks_at:
            raise self._fault
        self.seen.append(frame)
        rgb = frame.to_rgb()
        middle = rgb[rgb.shape[0] // 2, rgb.shape[1] // 2].astype(np.float32)
        scores = middle / max(1.0, float(middle.sum()))
        return Classification(scores, ("red", "green", "blue"), frame, Speed(1, 2, 3))

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *fault: object) -> None:
        self.closed = True


COLOURS = {"red.png": (250, 0, 0), "green.png": (0, 250, 0), "blue.png": (0, 0, 250)}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name, colour in COLOURS.items():
        write_picture(folder / name, np.broadcast_to(np.array(colour, np.uint8), (64, 64, 3)).copy())
    return folder


def test_a_folder_is_answered_and_written_in_three_ways_at_once(album: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    model, told = Fake(), []
    summary = predict(
        model,
        album,
        save=[tmp_path / "out", tmp_path / "show.mp4"],
        json=tmp_path / "answers.txt",
        progress=lambda done, total, result: told.append((done, total, str(result)[:4])),
    )
    assert summary.frames == 3
    assert summary.outputs == (str(tmp_path / "out"), str(tmp_path / "show.mp4"), str(tmp_path / "answers.txt"))
    lines = [json.loads(line) for line in (tmp_path / "answers.txt").read_text().splitlines()]
    assert [line["top"][0]["name"] for line in lines] == ["blue", "green", "red"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(COLOURS)
    assert (read_picture(tmp_path / "out" / "red.png") != read_picture(album / "red.png")).any()
    assert [f.captured_ns for f in open_source(tmp_path / "show.mp4")] == [0, 10**9, 2 * 10**9]
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert not model.closed, "a session that was handed over stays open"
    assert summary.frames_per_second > 0


def test_a_video_keeps_its_pace(tmp_path: Path) -> None:
    pytest.importorskip("av")
    predict(Fake(), "synthetic://shapes?count=5&fps=25", save=tmp_path / "a.mp4")
    summary = predict(Fake(), tmp_path / "a.mp4", save=str(tmp_path / "b.mp4"))
    assert summary.frames == 5
    assert [f.captured_ns for f in open_source(tmp_path / "b.mp4")] == [i * 40_000_000 for i in range(5)]


def test_nothing_asked_nothing_written(album: Path) -> None:
    before = sorted(album.parent.rglob("*"))
    assert predict(Fake(), str(album)).outputs == ()
    assert sorted(album.parent.rglob("*")) == before


def test_topk_and_limit(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    totals = []
    summary = predict(
        Fake(), album, json="-", topk=2, limit=2, progress=lambda done, total, result: totals.append(total)
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert summary.frames == 2
    assert totals == [2, 2]
    assert [len(line["top"]) for line in lines] == [2, 2]


@pytest.mark.parametrize("wrong", [{"topk": 0}, {"limit": 0}, {"limit": -1}])
def test_counts_below_one_are_refused(wrong: dict[str, Any], album: Path) -> None:
    with pytest.raises(UsageError, match=r"(topk|limit) must be at least 1"):
        predict(Fake(), album, **wrong)


def test_bad_pictures_stop_or_are_told_in_the_summary(album: Path) -> None:
    (album / "c.png").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        predict(Fake(), album)
    summary = predict(Fake(), album, on_error="skip")
    assert (summary.frames, len(summary.faults)) == (3, 1)
    assert "1 passed over" in str(summary)


def test_what_was_answered_before_the_engine_broke_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(EngineError, match="gave up"):
        predict(Fake(breaks_at=3), "synthetic://shapes", save=tmp_path / "x.mp4", json=tmp_path / "x.jsonl")
    assert len(list(open_source(tmp_path / "x.mp4"))) == 3
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.jsonl", "x.mp4"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (BrokenPipeError(), "the reader of the output went away"),
        (WindowClosed(), "the window was closed"),
    ],
)
def test_an_interrupt_and_whoever_leaves_end_the_run_quietly(fault: BaseException, words: str) -> None:
    summary = predict(Fake(2, fault), "synthetic://shapes")
    assert (summary.frames, summary.stopped) == (2, words)
    assert words in str(summary)


def test_a_bundle_is_loaded_after_the_input_is_found_and_closed_at_the_end(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Fake] = []

    def load(bundle: object) -> Fake:
        loaded.append(Fake())
        return loaded[-1]

    monkeypatch.setattr(app, "load", load)
    with pytest.raises(InputError, match="There is no file"):
        predict("bundle", album / "no.png")
    assert not loaded
    assert predict("bundle", album).frames == 3
    assert loaded[0].closed


def test_a_refused_output_leaves_no_trace(album: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        predict(Fake(), album, save=[tmp_path / "x.jpg", tmp_path / "x.nonsense"])
    assert [p.name for p in tmp_path.iterdir()] == ["album"]


def test_the_input_folder_is_never_overwritten(album: Path) -> None:
    before = {p.name: p.read_bytes() for p in album.iterdir()}
    with pytest.raises(UsageError, match="is the input itself"):
        predict(Fake(), album, save=album)
    assert {p.name: p.read_bytes() for p in album.iterdir()} == before


def test_a_source_that_was_handed_over_stays_open(album: Path) -> None:
    source = open_source(album)
    assert predict(Fake(), source).frames == 3
    assert predict(Fake(), source).frames == 3


def test_results_that_know_no_rank_pass_as_they_are(album: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Plain:
        frame: Frame

        @property
        def speed(self) -> dict[str, float]:
            return {}

        def plot(self) -> Any:
            return self.frame.to_rgb()

        def to_dict(self) -> dict[str, Any]:
            return {}

    assert predict(Plain, album, topk=3).frames == 3


def test_a_function_that_answers_nothing_is_told_so(album: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"answered with None, and edgevit predict needs results"):
        predict(lambda frame: None, str(album), save=str(tmp_path / "rows.csv"))  # type: ignore[arg-type,return-value]
    assert not (tmp_path / "rows.csv").exists()


def test_the_summary_is_plain_json_and_one_sentence() -> None:
    summary = Summary(1, 0.5, ("x.png is empty.",), (f"out{os.sep}",))
    assert json.loads(json.dumps(summary.to_dict()))["frames_per_second"] == 2
    assert str(summary) == f"1 frame in 0.5 s, 1 passed over, written to out{os.sep}."
    assert Summary(0, 0).frames_per_second == 0
