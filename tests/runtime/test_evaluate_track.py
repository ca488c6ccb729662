"""Scores of trackers, sequences in three layouts, and whole runs beside other trackers."""

from __future__ import annotations

from pathlib import Path

import blob_tracker
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError, MissingDependencyError, UnknownNameError
from edgevit.pictures import write_picture
from edgevit.runtime import Frame
from edgevit.runtime.evaluate_track import evaluate, summary
from edgevit.runtime.track_rivals import OpenCV, rival
from edgevit.runtime.track_score import overlap, score, together
from edgevit.runtime.track_truth import find_sequences

boxes = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 60), st.floats(1, 60))


@given(boxes, boxes)
def test_an_overlap_is_the_same_both_ways_and_one_for_the_same_box(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> None:
    assert overlap(one, other) == pytest.approx(overlap(other, one))
    assert 0 <= overlap(one, other) <= 1 + 1e-9
    assert overlap(one, one) == pytest.approx(1)


def test_half_a_box_is_a_third_of_both_together() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)


def test_the_measures_are_those_that_are_published() -> None:
    true = [(0.0, 0.0, 40.0, 40.0)] * 5
    found = [true[0], true[0], (20.0, 0.0, 40.0, 40.0), (100.0, 0.0, 40.0, 40.0), (0.0, 0.0, 40.0, 30.0)]
    got = score(found, true)
    assert got.frames == 4  # the first was given
    assert got.ao == pytest.approx((1 + 1 / 3 + 0 + 0.75) / 4)
    assert (got.sr50, got.sr75, got.lost) == (0.5, 0.25, 0.25)
    assert got.precision == 0.75
    # Of 21 thresholds, 20 lie below an overlap of 1, 7 below a third, 15 below three quarters, none below nothing.
    assert got.auc == pytest.approx((20 + 7 + 0 + 15) / 21 / 4)


def test_frames_without_the_target_are_not_counted_and_long_sequences_do_not_outweigh() -> None:
    here = (0.0, 0.0, 10.0, 10.0)
    away = (90.0, 0.0, 10.0, 10.0)
    good = score([here] * 3, [here, None, here])
    bad = score([away] * 101, [here] * 101)
    assert good.frames == 1
    assert together([good, bad]).ao == pytest.approx(0.5)


def frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        pixels = np.full((60, 80, 3), 120, np.uint8)
        pixels[20:40, 10 + 4 * n : 30 + 4 * n] = (230, 30, 40)
        write_picture(folder / f"{n + 1:08d}.png", pixels)


def sequence(folder: Path, inside: str, name: str, lines: list[str]) -> Path:
    frames(folder / inside, len(lines))
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


XYWH = [f"{10 + 4 * n},20,20,20" for n in range(6)]


def test_three_layouts_are_the_same_sequence(tmp_path: Path) -> None:
    sequence(tmp_path / "a-otb", "img", "groundtruth_rect.txt", [line.replace(",", "\t") for line in XYWH])
    sequence(tmp_path / "b-got", "", "groundtruth.txt", XYWH)
    polygons = [f"{10 + 4 * n},20,{30 + 4 * n},20,{30 + 4 * n},40,{10 + 4 * n},40" for n in range(6)]
    sequence(tmp_path / "c-vot", "color", "groundtruth.txt", polygons)
    found = find_sequences(tmp_path)
    assert [one.name for one in found] == ["a-otb", "b-got", "c-vot"]
    assert {one.boxes_xywh for one in found} == {tuple((10.0 + 4 * n, 20.0, 20.0, 20.0) for n in range(6))}
    assert find_sequences(tmp_path / "a-otb", origin=1)[0].boxes_xywh[0] == (9.0, 19.0, 20.0, 20.0)
    assert [frame.index for frame in found[0].frames()] == list(range(6))


def test_absent_targets_are_known_by_all_three_ways(tmp_path: Path) -> None:
    lines = [*XYWH[:3], "nan,nan,nan,nan", "0,0,0,0", XYWH[5]]
    folder = sequence(tmp_path / "s", "", "groundtruth.txt", lines)
    (folder / "absence.label").write_text("0\n0\n1\n0\n0\n0\n")
    (found,) = find_sequences(folder)
    assert [box is None for box in found.boxes_xywh] == [False, False, True, True, True, False]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["10,20,20"] * 6, "line 1: expected x,y,width,height"),
        (["a,b,c,d"] * 6, "line 1: expected"),
        (XYWH[:5], "6 frames and 5 boxes"),
        (["nan,nan,nan,nan", *XYWH[1:]], "a box in the first"),
    ],
)
def test_a_sequence_that_cannot_be_is_refused_by_name(tmp_path: Path, lines: list[str], words: str) -> None:
    folder = sequence(tmp_path / "s", "", "groundtruth.txt", XYWH)
    (folder / "groundtruth.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match=words):
        find_sequences(folder)


def test_a_folder_without_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sequence"):
        find_sequences(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        find_sequences(tmp_path / "absent")
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4")
    with pytest.raises(InputError, match="no frames"):
        find_sequences(tmp_path)


def test_trackers_run_side_by_side(tmp_path: Path) -> None:
    sequence(tmp_path / "one", "", "groundtruth.txt", XYWH)
    sequence(tmp_path / "two", "", "groundtruth.txt", XYWH)
    session, _ = blob_tracker.session(features=False)
    runs = evaluate({"blob": session, "static": rival("static")}, find_sequences(tmp_path))
    assert [(run.tracker, run.sequence) for run in runs] == [
        ("blob", "one"),
        ("static", "one"),
        ("blob", "two"),
        ("static", "two"),
    ]
    ours, fps = summary(runs, "blob")
    theirs, _ = summary(runs, "static")
    assert ours.auc > 0.75 > 0.5 > theirs.auc
    assert fps > 0
    assert runs[0].to_dict()["auc"] == round(runs[0].score.auc, 4)


def test_opencv_s_trackers_are_those_that_are_installed(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    sequence(tmp_path / "one", "", "groundtruth.txt", XYWH)
    (run,) = evaluate({"mil": rival("mil")}, find_sequences(tmp_path))
    assert run.score.frames == 5
    if not hasattr(cv2, "TrackerCSRT_create") and not hasattr(cv2, "legacy"):
        with pytest.raises(MissingDependencyError, match="contrib"):
            rival("csrt")
    with pytest.raises(UnknownNameError, match="Did you mean csrt"):
        rival("crst")


class Touchy:
    """Be an OpenCV tracker that raises where it is not pleased."""

    def __init__(self, *, starts: bool) -> None:
        self.starts = starts
        self.shown: tuple[int, ...] = ()
        self.steps = 0

    def init(self, bgr: object, box: tuple[int, ...]) -> None:
        self.shown = box
        if not self.starts:
            raise ZeroDivisionError

    def update(self, bgr: object) -> tuple[bool, tuple[float, ...]]:
        self.steps += 1
        if self.steps > 1:
            raise ZeroDivisionError
        return True, (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("box", "shown"),
    [
        ((-5.0, -5.0, 20.0, 20.0), (0, 0, 15, 15)),
        ((70.0, 50.4, 30.0, 30.0), (70, 50, 10, 10)),
        ((10.0, 10.0, 0.3, 5.0), (10, 10, 1, 5)),
        ((79.9, 59.9, 1.0, 1.0), (79, 59, 1, 1)),
    ],
)
def test_a_rival_that_raises_keeps_its_last_box(box: tuple[float, float, float, float], shown: tuple[int, ...]) -> None:
    frame = Frame(np.zeros((60, 80, 3), np.uint8), "bgr", 0)
    made = Touchy(starts=True)
    follower = OpenCV(lambda: made, ZeroDivisionError)
    follower.start(frame, box)
    assert made.shown == shown
    assert [follower.step(frame) for _ in range(3)] == [(1, 2, 3, 4)] * 3
    never = OpenCV(lambda: Touchy(starts=False), ZeroDivisionError)
    never.start(frame, box)
    assert never.step(frame) == box
