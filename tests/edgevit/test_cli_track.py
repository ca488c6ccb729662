"""``edgevit track`` and ``edgevit val track``, typed as a user types them, on a colour finder in real ONNX files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import blob_onnx
import pytest
import red_box
import tiny_bundles

from edgevit.cli import main
from edgevit.errors import UsageError
from edgevit.pictures import write_picture

pytest.importorskip("onnxruntime")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(blob_onnx.write(tmp_path_factory.mktemp("tracker") / "blob").path)


@pytest.fixture
def album(tmp_path: Path) -> str:
    pictures = [red_box.picture(n, shown=not 4 <= n < 9) for n in range(12)]
    return str(red_box.folder(tmp_path / "album", pictures))


def sequence(folder: Path, count: int = 6, origin: int = 0) -> Path:
    red_box.folder(folder, [red_box.picture(n) for n in range(count)])
    boxes = [red_box.box_xywh(n) for n in range(count)]
    text = "\n".join(f"{x + origin:g},{y + origin:g},{w:g},{h:g}" for x, y, w, h in boxes)
    (folder / "groundtruth.txt").write_text(text + "\n")
    return folder


# ---- track


def test_track_says_a_line_an_event_and_writes_what_was_asked(
    bundle: str, album: str, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("av")
    out, told = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    assert main(["track", album, str(out), str(told), "--bundle", bundle, "--box", red_box.FIRST]) == 0
    captured = capsys.readouterr()
    events = [line.split(" ")[3] for line in captured.out.splitlines()]
    assert events == ["tracking", "uncertain", "lost", "found", "tracking"]
    assert captured.out.startswith("frame 0: 1 tracking 1.00 at 40,40 to 64,60\n")
    assert "12 frames (" in captured.err
    assert "ONNX Runtime" in captured.err
    assert out.stat().st_size > 1000
    assert [json.loads(line)["index"] for line in told.read_text().splitlines()] == list(range(12))


def test_track_prints_one_line_of_json_a_frame(bundle: str, album: str, capsys: Capture) -> None:
    assert main(["track", album, "--bundle", bundle, "--box", red_box.FIRST, "--limit", "3", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[2]["tracks"][0]["box_xyxy"] == pytest.approx([44, 40, 68, 60], abs=4)
    assert {line["task"] for line in lines} == {"track"}


def test_track_knows_the_target_of_a_built_in_clip(bundle: str, capsys: Capture) -> None:
    assert main(["track", "synthetic://clip?count=4&size=96x128", "--bundle", bundle, "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_track_of_a_video_is_headless(bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a window is touched, and no OpenCV is needed."""
    pytest.importorskip("av")
    film = red_box.video(tmp_path / "in.mp4", [red_box.picture(n) for n in range(5)])
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["track", str(film), str(tmp_path / "out.mp4"), "--bundle", bundle, "--box", red_box.FIRST]) == 0
    assert (tmp_path / "out.mp4").is_file()


def test_track_passes_over_what_cannot_be_read_if_asked_to(bundle: str, album: str, capsys: Capture) -> None:
    Path(album, "001.png").write_bytes(b"no picture")
    words = ["track", album, "--bundle", bundle, "--box", red_box.FIRST]
    assert main(words) == 2
    assert "001.png is not a picture" in capsys.readouterr().err
    assert main([*words, "--on-error", "skip"]) == 0
    assert "passed over: " in capsys.readouterr().err


def test_track_refuses_a_classifier(album: str, tmp_path: Path, capsys: Capture) -> None:
    classifier = str(tiny_bundles.write(tmp_path / "classifier").path)
    assert main(["track", album, "--bundle", classifier, "--box", red_box.FIRST]) == 2
    assert (
        "is made to classify, and a bundle made to track is needed here. Name one, such as hit_nano;"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("400,10,20,20", "The box 400,10,20,20 lies outside the picture of 160 x 120 pixels"),
        ("10,10,0,20", "A box of 0 x 20 pixels holds nothing to follow"),
        ("nan,10,20,20", "A box is four finite numbers"),
        ("10,10,20", "'10,10,20' is no box: four numbers x,y,width,height"),
        ("here", "'here' is no box"),
        (None, "What shall be followed? Type: --box x,y,width,height or --point x,y"),
    ],
)
def test_a_box_that_cannot_be_gets_one_sentence(
    box: str | None, words: str, bundle: str, album: str, tmp_path: Path, capsys: Capture
) -> None:
    typed = ["track", album, str(tmp_path / "out.mp4"), "--bundle", bundle]
    assert main([*typed, *(["--box", box] if box else [])]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert not (tmp_path / "out.mp4").exists()


def test_a_point_on_the_target_is_enough(bundle: str, album: str, capsys: Capture) -> None:
    assert main(["track", album, "--bundle", bundle, "--point", "52,50", "--limit", "3", "--json"]) == 0
    first, *_, last = (json.loads(line)["tracks"][0] for line in capsys.readouterr().out.splitlines())
    assert first["box_xyxy"] == pytest.approx([40, 40, 64, 60], abs=3)
    assert last["box_xyxy"] == pytest.approx([44, 40, 68, 60], abs=4)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--point", "400,10"], "The point 400,10 lies outside the picture of 160 x 120 pixels"),
        (["--point", "nan,10"], "A point is two finite numbers"),
        (["--point", "52"], "'52' is no point: two numbers x,y"),
        (["--point", "52,50", "--box", red_box.FIRST], "by its box or by a point on it, not by both"),
    ],
)
def test_a_point_that_cannot_be_gets_one_sentence(
    typed: list[str], words: str, bundle: str, album: str, capsys: Capture
) -> None:
    assert main(["track", album, "--bundle", bundle, *typed]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_mistyped_input_is_told_before_a_model_is_loaded(bundle: str, album: str, capsys: Capture) -> None:
    assert main(["track", album + "x", "--bundle", bundle]) == 2
    assert f"Did you mean {album}?" in capsys.readouterr().err
    assert main(["track", album, "--bundle", bundle + "x"]) == 2
    assert "Did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["--box=-5,3,20,20"], ["--box", "-5,3,20,20"]])
def test_a_box_that_begins_outside_is_followed(typed: list[str], bundle: str, album: str, capsys: Capture) -> None:
    """A target at the left edge may; its minus is no option's."""
    assert main(["track", album, "--bundle", bundle, *typed, "--limit", "1"]) == 0
    assert "at -5,3 to 15,23" in capsys.readouterr().out


# ---- val track


def test_val_track_shows_a_table_with_the_others_beside(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    sequence(tmp_path / "set" / "one")
    sequence(tmp_path / "set" / "two")
    assert main(["val", "track", bundle, str(tmp_path / "set"), "--against", "static"]) == 0
    text = capsys.readouterr().out
    head, *rows = text.splitlines()
    assert head.split()[:3] == ["tracker", "sequence", "AUC"]
    assert [row.split()[0] for row in rows[:6]] == ["blob", "static", "blob", "static", "blob", "static"]
    means = {row.split()[0]: row.split()[4] for row in rows if "mean of all" in row}
    assert float(means["blob"]) > 0.8 > float(means["static"])
    assert "10 frames counted" in text


def answer(capsys: Capture, *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_val_track_as_json_has_every_run_and_the_means(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    sequence(tmp_path / "one")
    told = answer(capsys, "val", bundle, str(tmp_path / "one"), "--against", "static")
    assert [(run["tracker"], run["sequence"]) for run in told["runs"]] == [("blob", "one"), ("static", "one")]
    assert told["mean"]["blob"]["auc"] > 0.8 > told["mean"]["static"]["auc"]
    assert told["mean"]["blob"]["frames"] == 5


def test_val_track_beside_opencv_s_trackers(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    cv2 = pytest.importorskip("cv2")
    there = [name for name in ("csrt", "kcf", "mil") if hasattr(cv2, f"Tracker{name.upper()}_create")]
    sequence(tmp_path / "one", 3)
    told = answer(capsys, "val", "track", bundle, str(tmp_path / "one"), "--against", ",".join([*there, "static"]))
    assert [run["tracker"] for run in told["runs"]] == ["blob", *there, "static"]


def test_the_origin_is_the_first_pixel_s_number(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    sequence(tmp_path / "from-0")
    sequence(tmp_path / "from-1", origin=1)
    zero = answer(capsys, "val", "track", bundle, str(tmp_path / "from-0"))["mean"]["blob"]["ao"]
    one = answer(capsys, "val", "track", bundle, str(tmp_path / "from-1"), "--origin", "1")["mean"]["blob"]["ao"]
    assert zero == one
    assert answer(capsys, "val", "track", bundle, str(tmp_path / "from-1"))["mean"]["blob"]["ao"] < zero


def test_val_track_takes_the_first_sequences_if_limited(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    for name in ("a", "b", "c"):
        sequence(tmp_path / name, 3)
    told = answer(capsys, "val", "track", bundle, str(tmp_path), "--limit", "2")
    assert [run["sequence"] for run in told["runs"]] == ["a", "b"]


def test_val_track_tells_losses_and_what_is_shown_while_absent(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    folder = sequence(tmp_path / "one", 14)
    for n in range(4, 10):
        write_picture(folder / f"{n:03d}.png", red_box.picture(n, shown=False))
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    lines[4:10] = ["nan,nan,nan,nan"] * 6
    (folder / "groundtruth.txt").write_text("\n".join(lines))
    assert main(["val", "track", bundle, str(folder)]) == 0
    # Of six frames without the target two are doubts, then it is lost.
    assert "lost 1" in (err := capsys.readouterr().err)
    assert "shown while absent: 33%" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "crst"], "Did you mean csrt?"),
        (["--color", "both"], "--color both is for classifiers"),
        (["--origin", "2"], "expected a whole number from 0 to 1"),
    ],
)
def test_options_that_cannot_be_are_refused(
    words: list[str], said: str, bundle: str, tmp_path: Path, capsys: Capture
) -> None:
    sequence(tmp_path / "one", 3)
    assert main(["val", "track", bundle, str(tmp_path / "one"), *words]) == 2
    assert said in capsys.readouterr().err


def test_val_needs_to_be_asked_for_what_the_bundle_does(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    sequence(tmp_path / "one", 3)
    assert main(["val", "classify", bundle, str(tmp_path / "one")]) == 2
    assert "is made to track, not to classify" in capsys.readouterr().err
    classifier = str(tiny_bundles.write(tmp_path / "classifier").path)
    assert main(["val", classifier, str(tmp_path), "--against", "static"]) == 2
    assert "--against and --origin are for trackers" in capsys.readouterr().err
    assert main(["val", "track", bundle, str(tmp_path / "nothing")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert main(["val", bundle]) == 2
    assert "Expected a bundle and a folder" in capsys.readouterr().err


def test_a_word_that_is_no_task_is_told() -> None:
    from edgevit.cli.val import named

    assert named(["track", "b", "d"]) == ("track", "b", "d")
    with pytest.raises(UsageError):
        named(["trak", "b", "d"])
