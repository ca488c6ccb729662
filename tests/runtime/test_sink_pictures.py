"""Annotated pictures: under the right names, never over the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from answered import Answer, feed, frame

from edgevit.errors import UsageError
from edgevit.pictures import read_picture, write_picture
from edgevit.runtime.sinks import open_sink


def test_pictures_keep_their_names_and_show_the_answer(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    feed(out, frame(0, "/in/a.png"), frame(1, "/in/b.JPG"), frame(2, "C:\\in\\c.gif"))
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.JPG", "c.png"]
    assert read_picture(out / "a.png")[2, 2].tolist() == [255, 255, 255]
    assert read_picture(out / "a.png")[20, 20].tolist() == [200, 60, 30]


def test_frames_of_what_is_no_picture_are_numbered(tmp_path: Path) -> None:
    feed(tmp_path, frame(7, "/in/clip.mp4"), frame(8, "rtsp://user:word@cam/street?x=1"), frame(9), frame(10, "../.."))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["clip-000007.jpg", "frame-000009.jpg", "frame-000010.jpg", "street_x=1-000008.jpg"]


def test_two_inputs_of_one_name_both_stay(tmp_path: Path) -> None:
    feed(tmp_path, *(frame(i, f"/in/{i}/{name}.png") for i, name in enumerate(("x", "x", "X", "x-2"))))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["X-3.png", "x-2-2.png", "x-2.png", "x.png"]


@pytest.mark.parametrize("link", [False, True])
def test_the_input_is_never_overwritten(tmp_path: Path, link: bool) -> None:
    original = tmp_path / "a.png"
    write_picture(original, frame().data)
    before = original.read_bytes()
    folder = tmp_path
    if link:
        folder = tmp_path / "link"
        folder.symlink_to(tmp_path)
    for place in (folder, folder / "a.png"):
        with pytest.raises(UsageError, match="is the input itself and will not be overwritten"):
            feed(place, frame(0, str(original)))
    assert original.read_bytes() == before


def test_one_file_holds_one_picture(tmp_path: Path) -> None:
    feed(tmp_path / "sub" / "one.jpg", frame(0, "x.png"))
    assert (tmp_path / "sub" / "one.jpg").exists()
    with pytest.raises(UsageError, match=r"holds one picture, and the input has more\. Name a folder, such as .*two/"):
        feed(tmp_path / "two.png", frame(0), frame(1))


def test_a_camera_may_run_for_ever(tmp_path: Path) -> None:
    """The names of its frames are not remembered, and yet none is written over."""
    sink: Any = open_sink(tmp_path)
    for index in (0, 1, 2, 1, 2, 2, 3):  # the source began anew
        sink.write(frame(index, "cam"), Answer(frame(index)))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("cam-000000.jpg", "cam-000001-2.jpg", "cam-000001.jpg", "cam-000002-2.jpg", "cam-000002-3.jpg"),
        *("cam-000002.jpg", "cam-000003.jpg"),
    ]
    for index in range(4, 200):
        sink._unused(frame(index, "cam"))
    assert len(sink._used) == 3


def test_frames_and_pictures_of_one_name_all_stay(tmp_path: Path) -> None:
    given = [("cam-000001.jpg", 0), ("cam", 1), ("other/Cam", 1), ("other/cam", 0), ("cam-000001.jpg", 2)]
    given += [("x", 3), ("x/x-000003.jpg", 0), ("a/x", 3), ("b/X", 3), ("x/x-000004.jpg", 1), ("x", 4), ("x", 5)]
    feed(tmp_path, *(frame(index, source) for source, index in given))
    assert len({path.name.casefold() for path in tmp_path.iterdir()}) == len(given)
