"""The loop behind ``edgevit track``: what goes in, what comes out, what a person may ask for, and each bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import blob_tracker
import numpy as np
import pytest
import red_box

from edgevit.apps import track as app
from edgevit.apps.track import Summary, track
from edgevit.errors import EngineError, InputError, UsageError
from edgevit.pictures import read_picture
from edgevit.runtime import Frame, Tracks, TrackSession
from edgevit.runtime.sinks import WindowClosed
from edgevit.runtime.sources import open_source
from edgevit.runtime.track_clips import box_in_name

Box = tuple[float, float, float, float]


def tracker(**options: bool) -> TrackSession:
    return blob_tracker.session(**{"features": False, **options})[0]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return red_box.folder(tmp_path / "album", [red_box.picture(n) for n in range(6)])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def boxes(path: Path) -> list[list[float]]:
    """Return the one box of each line, as x, y, w, h."""
    found = [line["tracks"][0]["box_xyxy"] for line in lines(path)]
    return [[left, top, right - left, bottom - top] for left, top, right, bottom in found]


@dataclass
class Person:
    """Sit in front of a screen: draw these boxes, and after these frames wish for that."""

    draws: list[Box | None]
    wishes: dict[int, str] = field(default_factory=dict)
    seen: list[Tracks] = field(default_factory=list)
    closed: bool = False

    def choose(self, frame: Frame) -> Box | None:
        return self.draws.pop(0)

    def show(self, tracks: Tracks) -> str:
        self.seen.append(tracks)
        return self.wishes.get(len(self.seen), "")

    def close(self) -> None:
        self.closed = True


# ---- what goes in and what comes out


def test_a_video_becomes_an_annotated_video_and_json_lines(tmp_path: Path) -> None:
    pytest.importorskip("av")
    film = red_box.video(tmp_path / "in.mp4", [red_box.picture(n) for n in range(12)])
    told: list[tuple[int, int | None]] = []
    session = tracker()
    summary = track(
        session,
        film,
        box_xywh=red_box.box_xywh(0),
        save=[tmp_path / "out.mp4", tmp_path / "out.jsonl"],
        progress=lambda done, total, tracks: told.append((done, total)),
    )
    assert (summary.frames, summary.states, summary.stopped) == (12, {"tracking": 12}, "")
    assert summary.outputs == (str(tmp_path / "out.mp4"), str(tmp_path / "out.jsonl"))
    assert told == [(n, 12) for n in range(1, 13)]
    for index, box in enumerate(boxes(tmp_path / "out.jsonl")):
        assert box == pytest.approx(red_box.box_xywh(index), abs=4)
    annotated = list(open_source(tmp_path / "out.mp4"))
    assert [f.captured_ns for f in annotated] == [f.captured_ns for f in open_source(film)]
    assert np.abs(annotated[5].to_rgb().astype(int) - red_box.picture(5)).max() > 100, "the box was drawn"
    assert session.ids == (), "a session that was handed over is left as it came"


def test_a_folder_is_followed_and_written_as_a_folder(album: Path, tmp_path: Path) -> None:
    summary = track(tracker(), str(album), box_xywh=red_box.box_xywh(0), save=[tmp_path / "out"])
    assert summary.frames == 6
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in album.iterdir())
    assert (read_picture(tmp_path / "out" / "003.png") != read_picture(album / "003.png")).any()


def test_a_built_in_clip_knows_its_target(tmp_path: Path) -> None:
    place = "synthetic://clip?kind=plain&count=3&size=96x128"
    assert track(tracker(), place, save=[tmp_path / "a.jsonl"]).frames == 3
    (first, *_) = open_source(place)
    assert boxes(tmp_path / "a.jsonl")[0] == pytest.approx(box_in_name(first.source), abs=0.01)
    assert box_in_name("synthetic://clip/away/0003.png") is None
    assert box_in_name("holiday@1,2,3,4.png") is None


def test_a_point_on_the_target_is_enough(album: Path, tmp_path: Path) -> None:
    summary = track(tracker(), album, point_xy=(52, 50), save=[tmp_path / "a.jsonl"])
    assert summary.states == {"tracking": 6}
    assert boxes(tmp_path / "a.jsonl")[-1] == pytest.approx(red_box.box_xywh(5), abs=4)
    with pytest.raises(UsageError, match="by its box or by a point on it, not by both"):
        track(tracker(), album, point_xy=(52, 50), box_xywh=red_box.box_xywh(0))


def test_the_limit_counts_in_the_total(album: Path) -> None:
    totals = []
    summary = track(
        tracker(),
        album,
        box_xywh=red_box.box_xywh(0),
        limit=2,
        progress=lambda done, total, tracks: totals.append(total),
    )
    assert (summary.frames, totals) == (2, [2, 2])
    with pytest.raises(UsageError, match="limit must be at least 1, not 0"):
        track(tracker(), album, limit=0)


def test_a_source_that_was_handed_over_stays_open(album: Path) -> None:
    source = open_source(album)
    session = tracker()
    for _ in range(2):
        assert track(session, source, box_xywh=red_box.box_xywh(0)).frames == 6


def test_other_targets_of_a_session_are_followed_along_and_stay(album: Path, tmp_path: Path) -> None:
    session = tracker()
    session.start(red_box.frames(1)[0], (40, 40, 64, 60), id=5)
    track(session, album, box_xywh=red_box.box_xywh(0), save=[tmp_path / "a.jsonl"])
    assert [track["id"] for track in lines(tmp_path / "a.jsonl")[-1]["tracks"]] == [5, 6]
    assert session.ids == (5,)


def test_a_bundle_is_opened_after_the_input_and_closed_at_the_end(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, search = blob_tracker.session()
    opened: list[object] = []

    def load(bundle: object, *, task: str) -> TrackSession:
        opened.append((bundle, task))
        return session

    monkeypatch.setattr(app, "load", load)
    with pytest.raises(InputError, match="There is no"):
        track("some-bundle", album / "nothing.png")
    assert opened == []
    track("some-bundle", album, box_xywh=red_box.box_xywh(0))
    assert opened == [("some-bundle", "track")]
    assert search.closed


# ---- a person at the screen


def test_a_person_draws_the_first_box(album: Path) -> None:
    person = Person([red_box.box_xywh(0)])
    summary = track(tracker(), album, screen=person)
    assert summary.states == {"tracking": 6}
    assert len(person.seen) == 6
    assert person.closed


def test_a_person_who_draws_nothing_ends_the_run_quietly(album: Path, tmp_path: Path) -> None:
    summary = track(tracker(), album, screen=Person([None]), save=[tmp_path / "a.jsonl"])
    assert (summary.frames, summary.stopped) == (0, "nothing was chosen in the window")
    assert str(summary).startswith("0 frames, 0 a second")


def test_select_follows_another_box_and_keeps_the_number(album: Path) -> None:
    person = Person([(0, 0, 20, 20), red_box.box_xywh(2)], {3: "select"})
    track(tracker(), album, screen=person)
    assert {tracks[0].id for tracks in person.seen} == {1}
    assert person.seen[-1][0].box_xywh == pytest.approx(red_box.box_xywh(5), abs=4)


def test_select_and_a_change_of_mind_follow_on(album: Path) -> None:
    person = Person([red_box.box_xywh(0), None], {3: "select"})
    track(tracker(), album, screen=person)
    assert person.seen[-1][0].box_xywh == pytest.approx(red_box.box_xywh(5), abs=4)


def test_reset_goes_back_to_the_first_box(album: Path) -> None:
    first = red_box.box_xywh(0)
    person = Person([first, (0, 0, 20, 20)], {2: "select", 3: "reset"})
    track(tracker(), album, screen=person)
    assert person.seen[2][0].box_xywh[0] < 20
    assert person.seen[3][0].box_xywh == pytest.approx(red_box.box_xywh(3), abs=8)


def test_reset_goes_back_to_the_same_share_of_a_picture_of_another_size(tmp_path: Path) -> None:
    """What was the first box in pixels may lie outside a smaller picture."""
    small = (60, 80)
    pictures = [red_box.picture(0), *(red_box.picture(n, size_hw=small) for n in range(1, 5))]
    far = (130.0, 90.0, 20.0, 20.0)
    person = Person([far], {2: "reset"})
    summary = track(tracker(), red_box.folder(tmp_path / "in", pictures), screen=person)
    assert summary.frames == 5
    assert person.seen[2][0].box_xywh == pytest.approx([value / 2 for value in far], abs=12)


@pytest.mark.parametrize("after", [1, 3])
def test_quit_ends_the_run_and_keeps_what_was_written(after: int, album: Path, tmp_path: Path) -> None:
    person = Person([red_box.box_xywh(0)], {after: "quit"})
    summary = track(tracker(), album, screen=person, save=[tmp_path / "a.jsonl"])
    assert (summary.frames, summary.stopped) == (after, "ended in the window")
    assert len(lines(tmp_path / "a.jsonl")) == after


def test_a_box_that_was_typed_is_not_asked_for(album: Path) -> None:
    assert track(tracker(), album, box_xywh=red_box.box_xywh(0), screen=Person([])).frames == 6


# ---- bad input


def test_nobody_to_ask_is_told_what_to_type(album: Path) -> None:
    with pytest.raises(UsageError, match=r"What shall be followed\? Type: --box x,y,width,height or --point x,y"):
        track(tracker(), album)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((400, 10, 20, 20), "lies outside the picture of 160 x 120"),
        ((-30, 10, 20, 20), "lies outside the picture"),
        ((10, 10, 0, 20), "holds nothing to follow"),
        ((10, 10, 20, -5), "holds nothing to follow"),
        ((float("nan"), 10, 20, 20), "four finite numbers"),
        ((10, 10, float("inf"), 20), "four finite numbers"),
    ],
)
def test_a_box_that_cannot_be_is_refused_and_nothing_is_written(
    box: Box, words: str, album: Path, tmp_path: Path
) -> None:
    session = tracker()
    with pytest.raises(InputError, match=words):
        track(session, album, box_xywh=box, save=[tmp_path / "out", tmp_path / "a.jsonl"])
    assert [path.name for path in tmp_path.iterdir() if path.name != "album"] in ([], ["out"])
    assert session.ids == ()


def test_a_first_frame_that_cannot_be_read(album: Path) -> None:
    (album / "000.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"000\.png is not a picture"):
        track(tracker(), album, box_xywh=red_box.box_xywh(0))
    summary = track(tracker(), album, box_xywh=red_box.box_xywh(1), on_error="skip")
    assert (summary.frames, summary.states) == (5, {"tracking": 5})
    assert len(summary.faults) == 1
    assert "1 passed over" in str(summary)


def test_a_frame_in_the_middle_that_cannot_be_read_is_a_gap(album: Path, tmp_path: Path) -> None:
    (album / "003.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"003\.png is empty"):
        track(tracker(), album, box_xywh=red_box.box_xywh(0), save=[tmp_path / "a.jsonl"])
    assert len(lines(tmp_path / "a.jsonl")) == 3, "what was found before is kept"
    track(tracker(), album, box_xywh=red_box.box_xywh(0), on_error="skip", save=[tmp_path / "b.jsonl"])
    assert boxes(tmp_path / "b.jsonl")[-1] == pytest.approx(red_box.box_xywh(5), abs=4)


@pytest.mark.parametrize("road", ["av", "cv2"])
def test_a_video_that_ends_too_soon_is_told_and_what_came_is_kept(
    road: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    film = red_box.video(tmp_path / "in.mkv", [red_box.picture(n) for n in range(40)])
    whole = film.read_bytes()
    short = tmp_path / "short.mkv"
    short.write_bytes(whole[: len(whole) // 2])
    if road == "cv2":
        monkeypatch.setitem(sys.modules, "av", None)
    summary = track(tracker(), short, box_xywh=red_box.box_xywh(0), save=[tmp_path / "a.jsonl"], on_error="skip")
    assert 5 < summary.frames < 40
    assert summary.states == {"tracking": summary.frames}
    assert len(lines(tmp_path / "a.jsonl")) == summary.frames


def test_a_video_that_stutters_is_followed_on(tmp_path: Path) -> None:
    """Frames that come twice, then a gap: the target moves by 16 pixels at once."""
    order = [0, 1, 1, 1, 2, 2, 10, 11, 11, 12]
    pictures = [red_box.picture(n) for n in order]
    summary = track(
        tracker(), red_box.folder(tmp_path / "in", pictures), box_xywh=red_box.box_xywh(0), save=[tmp_path / "a.jsonl"]
    )
    assert summary.states == {"tracking": len(order)}
    assert boxes(tmp_path / "a.jsonl")[-1] == pytest.approx(red_box.box_xywh(12), abs=5)


def test_a_video_that_changes_its_size_is_followed_and_written_in_the_first_size(tmp_path: Path) -> None:
    """Two streams of H.264, one after the other, as a broadcast has them."""
    pytest.importorskip("av")
    large = (240, 320)
    one = red_box.video(tmp_path / "one.h264", [red_box.picture(n) for n in range(8)])
    two = red_box.video(tmp_path / "two.h264", [red_box.picture(n, size_hw=large) for n in range(8, 16)])
    both = tmp_path / "both.h264"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    summary = track(
        tracker(),
        both,
        box_xywh=red_box.box_xywh(0),
        save=[tmp_path / "out.mp4", tmp_path / "out.jsonl"],
        on_error="skip",
    )
    told = lines(tmp_path / "out.jsonl")
    assert {tuple(line["size_hw"]) for line in told} == {red_box.SIZE_HW, large}
    assert summary.states == {"tracking": summary.frames}
    assert {frame.size_hw for frame in open_source(tmp_path / "out.mp4")} == {red_box.SIZE_HW}
    assert boxes(tmp_path / "out.jsonl")[-1] == pytest.approx([2 * v for v in red_box.box_xywh(15)], abs=10)


def test_grey_and_four_channel_pictures_are_followed_like_others(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(6):
        rgb = red_box.picture(n)
        opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
        grey = np.where((rgb == red_box.RED).all(2), 255, rgb[..., 0]).astype(np.uint8)
        Image.fromarray(opaque).save(folder / f"a{n}.png")
        Image.fromarray(grey).save(folder / f"b{n}.png")
    for kind in "ab":
        summary = track(tracker(), f"{folder}/{kind}*.png", box_xywh=red_box.box_xywh(0))
        assert summary.states == {"tracking": 6}


@pytest.mark.parametrize(
    ("shape", "color", "words"),
    [
        ((8, 8, 4), "rgb", r"not \(8, 8, 4\)\. A fourth channel is opacity.*picture\[\.\.\., :3\]"),
        ((8, 8), "bgr", r"not \(8, 8\)\. It is a grey one: its colour is 'gray'"),
        ((8, 8, 3), "gray", r"must have the shape \(height, width\), not \(8, 8, 3\)\.$"),
        ((0, 8, 3), "rgb", "The picture is empty"),
    ],
)
def test_arrays_of_other_channels_are_refused_with_what_to_type(shape: tuple[int, ...], color: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tracker().start(np.zeros(shape, np.uint8), (1, 1, 5, 5), color=color)


def test_an_input_without_a_frame_is_told(tmp_path: Path) -> None:
    class Nothing:
        live, total, faults = False, 0, ()

        def __iter__(self) -> Any:
            return iter(())

        def close(self) -> None:
            pass

    with pytest.raises(InputError, match="has no frame"):
        track(tracker(), Nothing(), box_xywh=red_box.box_xywh(0))


class Breaking:
    """Yield frames, then break off with a fault."""

    live, total = False, None
    faults: Sequence[str] = ()

    def __init__(self, fault: BaseException) -> None:
        self._fault = fault

    def __iter__(self) -> Any:
        yield from red_box.frames(2)
        raise self._fault

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (BrokenPipeError(), "the reader of the output went away"),
        (WindowClosed(), "the window was closed"),
    ],
)
def test_an_interrupt_and_whoever_leaves_end_the_run_quietly(fault: BaseException, words: str, tmp_path: Path) -> None:
    summary = track(tracker(), Breaking(fault), box_xywh=red_box.box_xywh(0), save=[tmp_path / "a.jsonl"])
    assert (summary.frames, summary.stopped) == (2, words)
    assert len(lines(tmp_path / "a.jsonl")) == 2


def test_what_was_found_before_a_fault_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(EngineError, match="gave up"):
        track(
            tracker(),
            Breaking(EngineError("The engine gave up.")),
            box_xywh=red_box.box_xywh(0),
            save=[tmp_path / "a.mp4"],
        )
    assert len(list(open_source(tmp_path / "a.mp4"))) == 2


def test_the_input_is_never_overwritten(album: Path) -> None:
    before = {path.name: path.read_bytes() for path in album.iterdir()}
    with pytest.raises(UsageError, match="is the input itself"):
        track(tracker(), album, box_xywh=red_box.box_xywh(0), save=[album])
    assert {path.name: path.read_bytes() for path in album.iterdir()} == before


def test_a_lost_target_is_an_event_and_never_an_error(tmp_path: Path) -> None:
    pictures = [red_box.picture(n, shown=not 4 <= n < 10) for n in range(14)]
    summary = track(tracker(), red_box.folder(tmp_path / "in", pictures), box_xywh=red_box.box_xywh(0))
    assert summary.states["lost"] >= 3
    assert summary.states["found"] == 1


def test_the_summary_is_plain_json_and_one_sentence() -> None:
    summary = Summary(1, 30.04, {"tracking": 1}, ("out",), ("x.png is empty.",))
    assert json.loads(json.dumps(summary.to_dict()))["fps"] == 30.0
    assert str(summary) == "1 frame (tracking 1), 30 a second, 1 passed over, written to out."
