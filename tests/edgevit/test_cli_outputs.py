"""Where the verbs that answer write: a window is one more output, and nothing that seems to be an input is replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
import red_box
import tiny_bundles

from edgevit.cli import main

pytest.importorskip("onnxruntime")

Capture = pytest.CaptureFixture[str]

VERBS = pytest.mark.parametrize("verb", ["run", "predict"])
THREE = "synthetic://shapes?count=3"


class Screen:
    """Be an OpenCV that has windows; ``keys`` are pressed one a picture."""

    WINDOW_NORMAL, WND_PROP_VISIBLE = 0, 4
    error = RuntimeError

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.windows: list[str] = []
        self.shown: list[np.ndarray[Any, Any]] = []

    def getBuildInformation(self) -> str:  # noqa: N802
        return "GUI:  QT5\n"

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        self.windows.append(title)

    def imshow(self, title: str, bgr: np.ndarray[Any, Any]) -> None:
        self.shown.append(bgr)

    def waitKey(self, wait_ms: int) -> int:  # noqa: N802
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, title: str, what: int) -> float:  # noqa: N802
        return 1.0

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        self.windows.remove(title)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    return str(tiny_bundles.write(folder / "bundle", content=content).path)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setitem(sys.modules, "cv2", made)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    return made


@VERBS
@pytest.mark.parametrize("typed", [["--show"], ["window://"], ["window://", "--show"]])
def test_every_answer_is_shown_in_one_window_beside_other_outputs(
    typed: list[str], verb: str, bundle: str, screen: Screen, tmp_path: Path
) -> None:
    told = tmp_path / "told.jsonl"
    assert main([verb, bundle, THREE, str(told), *typed]) == 0
    assert len(screen.shown) == len(told.read_text().splitlines()) == 3
    assert screen.windows == [], "closed at the end"


@VERBS
def test_a_key_in_the_window_ends_it(verb: str, bundle: str, screen: Screen, capsys: Capture) -> None:
    screen.keys = [-1, ord("q")]
    assert main([verb, bundle, "synthetic://shapes?count=500", "--show"]) == 0
    assert len(screen.shown) == 2
    said = capsys.readouterr()
    assert "; the window was closed." in said.out + said.err


@VERBS
def test_without_a_display_it_is_told_what_else_there_is(
    verb: str, bundle: str, screen: Screen, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main([verb, bundle, THREE, "--show"]) == 3
    assert "No window can be shown here: there is no display." in capsys.readouterr().err


@VERBS
def test_without_opencv_the_sentence_names_what_brings_it(
    verb: str, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main([verb, bundle, THREE, "--show"]) == 3
    assert "A window needs the package 'opencv-python'" in capsys.readouterr().err


def test_where_targets_are_drawn_in_the_window_the_verb_that_shows_several_is_named(capsys: Capture) -> None:
    assert main(["track", "gates.streams", "--show"]) == 2
    typed = "Type: edgevit run hit_nano gates.streams --show --box x,y,width,height"
    assert typed in capsys.readouterr().err


# ---- a pattern that the shell opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    red_box.folder(tmp_path / "holiday", [red_box.picture(n) for n in range(3)])
    return tmp_path / "holiday"


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("words", [["predict", "{bundle}"], ["run", "{bundle}"], ["track", "--box", "40,40,24,20"]])
def test_an_opened_pattern_never_costs_a_picture(
    words: list[str], count: int, bundle: str, folder: Path, capsys: Capture
) -> None:
    opened = sorted(folder.iterdir())[:count]
    before = [path.read_bytes() for path in opened]
    assert main([*(word.format(bundle=bundle) for word in words), *map(str, opened)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"edgevit: {opened[1]} is there already and would be written over.")
    assert f"type the pattern in quotes, else the shell opens it: '{folder}/*.png'" in said
    assert [path.read_bytes() for path in opened] == before


def test_a_pattern_over_folders_costs_none_either(bundle: str, folder: Path, tmp_path: Path) -> None:
    other = [red_box.folder(tmp_path / name, [red_box.picture(9)]) / "000.png" for name in ("ice", "jam")]
    before = [path.read_bytes() for path in other]
    assert main(["predict", bundle, str(folder / "000.png"), *map(str, other)]) == 2
    assert [path.read_bytes() for path in other] == before


def test_nor_does_it_cost_a_film(bundle: str, folder: Path, capsys: Capture) -> None:
    films = [folder / f"{n}.mp4" for n in range(3)]
    for film in films:
        film.write_bytes(b"a film")
    assert main(["track", *map(str, films), "--box", "40,40,24,20"]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert {film.read_bytes() for film in films} == {b"a film"}


def test_what_was_written_before_is_written_anew(bundle: str, folder: Path, tmp_path: Path) -> None:
    words = ["predict", bundle, str(folder / "000.png"), str(tmp_path / "answer.png"), str(folder / "told.jsonl")]
    assert main(words) == main(words) == 0
    assert main(["predict", bundle, str(folder), f"{tmp_path}/answers/"]) == 0
    assert main(["predict", bundle, str(folder), f"{tmp_path}/answers/"]) == 0
    assert len((folder / "told.jsonl").read_text().splitlines()) == 1


# ---- readers who go away, or never were there


@VERBS
def test_a_window_beside_it_does_not_excuse_a_reader_who_goes_away(
    verb: str, bundle: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main([verb, bundle, "synthetic://shapes?count=500", "-", "--show"]) == 141


CODE = "import sys; from edgevit.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("output", [[], ["-"], ["--json"]])
@pytest.mark.parametrize("verb", ["run", "predict", "track"])
def test_a_reader_who_goes_away_ends_each_verb_with_the_same_code(verb: str, output: list[str], bundle: str) -> None:
    words = {"track": ["synthetic://clip?count=3000"]}.get(verb, [bundle, "synthetic://shapes?count=100000"])
    with subprocess.Popen(
        [sys.executable, "-c", CODE, verb, *words, *output],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as began:
        assert began.stdout is not None
        assert began.stderr is not None
        assert began.stdout.readline()
        began.stdout.close()
        said = began.stderr.read().decode()
    assert began.returncode == 141, said
    assert "bug" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault_and_no_file_takes_their_place(closed: str, bundle: str, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    line = f'"$0" -c "$1" run "$2" "{THREE}" "{told}" {closed}'
    ended = subprocess.run(["sh", "-c", line, sys.executable, CODE, bundle], check=False, timeout=120)
    assert ended.returncode == 0
    assert [json.loads(row)["index"] for row in told.read_text().splitlines()] == [0, 1, 2]
