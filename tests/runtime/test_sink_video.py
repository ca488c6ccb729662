"""Annotated videos: whole, at their own times, finished or saved whatever ends them."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import Answer, feed, frame

from edgevit.errors import EnvironmentFault, MissingDependencyError, UsageError
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sinks.video import fitted
from edgevit.runtime.sources import open_source


@pytest.fixture
def av() -> Any:
    return pytest.importorskip("av")


@pytest.mark.parametrize("size_hw", [(48, 64), (47, 63), (47, 64), (1, 1)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_video_comes_back_with_its_frames_times_and_colours(
    size_hw: tuple[int, int], suffix: str, tmp_path: Path, av: Any
) -> None:
    path = tmp_path / f"x{suffix}"
    times_ns = [10**15 + ns for ns in (0, 40_000_000, 80_000_000, 127_000_000, 2_000_000_000)]
    feed(path, *(frame(i, "cam", size_hw, ns) for i, ns in enumerate(times_ns)))
    got = list(open_source(path))
    assert [f.captured_ns for f in got] == pytest.approx([t - times_ns[0] for t in times_ns], abs=1e6)
    height, width = size_hw
    assert got[0].size_hw == (height + height % 2, width + width % 2)
    if min(size_hw) > 1:
        rgb = got[0].to_rgb().astype(int)
        assert np.abs(rgb[2:6, 2:6] - 255).max() < 12
        for part in (rgb[20:24, 20:24], rgb[-3:, -3:]):  # the repeated edge included
            assert np.abs(part - (200, 60, 30)).max() < 8
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_ntsc_pace_is_kept_exactly(tmp_path: Path, av: Any) -> None:
    times = [round(Fraction(i * 1001, 30000) * 10**9) for i in range(30)]
    feed(tmp_path / "x.mp4", *(frame(i, at_ns=t) for i, t in enumerate(times)))
    with av.open(str(tmp_path / "x.mp4")) as container:
        pts = [f.pts * f.time_base for f in container.decode(video=0)]
    assert pts == [Fraction(i * 1001, 30000) for i in range(30)]


def test_frames_at_one_time_or_out_of_order_are_all_kept(tmp_path: Path, av: Any) -> None:
    feed(tmp_path / "x.mp4", *(frame(i, at_ns=t) for i, t in enumerate((50, 50, 10, 10**9))))
    assert len(list(open_source(tmp_path / "x.mp4"))) == 4


def test_a_frame_of_another_size_is_fitted_between_bars(tmp_path: Path, av: Any) -> None:
    feed(
        tmp_path / "x.mp4",
        frame(0),
        frame(1, size_hw=(96, 32), at_ns=10**9),
        frame(2, size_hw=(24, 32), at_ns=2 * 10**9),
    )
    got = [f.to_rgb().astype(int) for f in open_source(tmp_path / "x.mp4")]
    assert {g.shape for g in got} == {(48, 64, 3)}
    assert got[1][24, :20].max() < 30  # a bar at the left
    assert np.abs(got[1][24, 30:34] - (200, 60, 30)).max() < 8
    assert np.abs(got[2][40, 60] - (200, 60, 30)).max() < 12  # no bar: the shape is the same


@pytest.mark.parametrize("size_hw", [(1, 400), (400, 1), (3, 5), (47, 63), (49, 64)])
def test_any_shape_can_be_fitted(size_hw: tuple[int, int]) -> None:
    canvas = fitted(np.full((*size_hw, 3), 9, np.uint8), (48, 64))
    assert canvas.shape == (48, 64, 3)
    assert int(canvas.max()) == 9


def test_nothing_stands_under_the_final_name_before_the_end(tmp_path: Path, av: Any) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"an older film")
    sink = open_sink(path)
    sink.write(frame(), Answer(frame()))
    assert path.read_bytes() == b"an older film"
    sink.close()
    assert len(list(open_source(path))) == 1
    with pytest.raises(UsageError, match="takes no more frames"):
        sink.write(frame(), Answer(frame()))


def test_a_video_that_cannot_get_its_name_says_where_it_is(
    tmp_path: Path, av: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_sink(tmp_path / "x.mp4")
    sink.write(frame(), Answer(frame()))

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        EnvironmentFault, match=r"x\.mp4 cannot .* No space left on device\. What was written is in .*\.part"
    ):
        sink.close()
    sink.close()
    (left,) = tmp_path.iterdir()
    assert len(list(open_source(left))) == 1


def test_no_frame_makes_no_video(tmp_path: Path, av: Any) -> None:
    feed(tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


def test_the_input_video_is_not_overwritten(tmp_path: Path, av: Any) -> None:
    path = tmp_path / "x.mp4"
    feed(path, frame())
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is the input itself"):
        feed(path, frame(0, str(path)))
    assert path.read_bytes() == before


def test_the_next_codec_is_taken_when_one_is_missing(tmp_path: Path, av: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevit.runtime.sinks.video.CODECS", ("no_such_codec", "h264_v4l2m2m", "mpeg4"))
    feed(tmp_path / "x.mp4", *(frame(i, at_ns=i * 40_000_000) for i in range(3)))
    with av.open(str(tmp_path / "x.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert [f.captured_ns for f in open_source(tmp_path / "x.mp4")] == [0, 40_000_000, 80_000_000]
    monkeypatch.setattr("edgevit.runtime.sinks.video.CODECS", ("no_such_codec",))
    with pytest.raises(EnvironmentFault, match="can encode no video"):
        feed(tmp_path / "y.mp4", frame())
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]


def test_without_pyav_the_pip_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"Writing a video .*pip install 'edgevit\[camera\]'"):
        open_sink(tmp_path / "x.mp4")
