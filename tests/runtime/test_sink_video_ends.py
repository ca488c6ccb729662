"""Videos at their edges: an encoder that fails at its last, odd pictures, closing early, twice, or after a fault."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import Answer, feed, frame

from edgevit.errors import InputError, UsageError
from edgevit.runtime.frame import Frame, PixelFormat
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import open_source
from edgevit.runtime.tracks import Track, Tracks

av: Any = pytest.importorskip("av")

_EXTERNAL = 0x20545845  # as FFmpeg numbers it: the letters EXT

SHAPES: dict[PixelFormat, tuple[int, ...]] = {
    "rgb": (1, 1, 3), "bgr": (5, 3, 3), "gray": (1, 1), "yuyv": (3, 2, 2), "nv12": (3, 2), "i420": (9, 4),
}  # fmt: skip


class Failing:
    """Be a stream whose encoder has an error, at the last flush or in the middle."""

    def __init__(self, stream: Any, fault: Exception, *, at_flush: bool) -> None:
        self._stream, self._fault, self._at_flush = stream, fault, at_flush

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def encode(self, image: Any) -> Any:
        if (image is None) == self._at_flush:
            raise self._fault
        return self._stream.encode(image)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("at_flush", [True, False])
def test_an_encoder_that_fails_says_so_once_and_keeps_what_there_is(
    suffix: str, at_flush: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    sink: Any = open_sink(path)
    rng = np.random.default_rng(0)
    shots = [
        Frame(rng.integers(0, 256, (48, 64, 3), np.uint8), "rgb", index * 33_333_333, index) for index in range(150)
    ]
    for shot in shots:
        sink.write(shot, Answer(shot))
    fault = av.error.ExternalError(_EXTERNAL, "Generic error in an external library")
    sink._stream = Failing(sink._stream, fault, at_flush=at_flush)
    with pytest.raises(UsageError, match=r"The video .* cannot be written: .*\. What was written plays up to there\."):
        sink.close() if at_flush else sink.write(shots[0], Answer(shots[0]))
    sink.close()
    with pytest.raises(UsageError, match="takes no more frames"):
        sink.write(shots[0], Answer(shots[0]))
    assert [left.name for left in tmp_path.iterdir()] == [path.name]
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 50
    assert open_files(tmp_path) == []


def test_a_fault_that_nobody_foresaw_leaves_nothing_open_either(tmp_path: Path) -> None:
    sink: Any = open_sink(tmp_path / "x.mp4")
    for index in range(150):
        sink.write(one := frame(index, at_ns=index * 33_333_333), Answer(one))
    sink._stream = Failing(sink._stream, RuntimeError("what was that?"), at_flush=True)
    with pytest.raises(RuntimeError, match="what was that"):
        sink.close()
    sink.close()
    assert [left.name for left in tmp_path.iterdir()] == ["x.mp4"]
    assert len(list(open_source(tmp_path / "x.mp4"))) > 50
    assert open_files(tmp_path) == []


def open_files(folder: Path) -> list[str]:
    """Return what this process holds open in a folder, where the system tells it."""
    held = []
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the one by which the list was read
            held.append(str(entry.readlink()))
    return [path for path in held if path.startswith(str(folder))]


def test_a_film_that_was_closed_before_its_first_frame_is_not_begun(tmp_path: Path) -> None:
    """A source that answers late, when the run is over, must not leave a film that nobody ends."""
    sink = open_sink(tmp_path / "x.mp4")
    sink.close()
    with pytest.raises(UsageError, match="takes no more frames"):
        sink.write(frame(), Answer(frame()))
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_not_written_over(tmp_path: Path) -> None:
    """In a container each process has the number of the one before it."""
    left = tmp_path / f"x.{os.getpid()}.part.mp4"
    left.write_bytes(b"what was recorded before")
    sinks = [open_sink(tmp_path / "x.mp4") for _ in range(2)]
    for sink in sinks:
        sink.write(frame(), Answer(frame()))
    for sink in sinks:
        sink.close()
    assert left.read_bytes() == b"what was recorded before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "x.mp4"]
    assert len(list(open_source(tmp_path / "x.mp4"))) == 1


def answers_of(one: Frame) -> list[Any]:
    track = Track(np.array([0, 0, 9, 9], np.float32), 0.5, "tracking", 1, one, Speed(1, 2, 3))
    return [Classification(np.array([0.25, 0.75], np.float32), ("a", "b"), one, Speed(1, 2, 3)), Tracks((track,), one)]


@pytest.mark.parametrize("form", sorted(SHAPES))
@pytest.mark.parametrize("task", [0, 1])
def test_the_smallest_pictures_of_every_format_are_drawn_and_written(
    form: PixelFormat, task: int, tmp_path: Path
) -> None:
    for name in ("x.mp4", "x.mkv", "x.png"):
        sink = open_sink(tmp_path / name)
        one = Frame(np.full(SHAPES[form], 100, np.uint8), form, 0)
        sink.write(one, answers_of(one)[task])
        sink.close()
        assert len(list(open_source(tmp_path / name))) == 1


@pytest.mark.parametrize("first", [(1, 1), (47, 63), (480, 641)])
def test_a_size_that_changes_at_every_frame_is_fitted(first: tuple[int, int], tmp_path: Path) -> None:
    sizes = [first, (1, 1), (1, 300), (301, 1), (480, 640), (33, 17), first]
    feed(tmp_path / "x.mp4", *(frame(index, "", size, index * 40_000_000) for index, size in enumerate(sizes)))
    got = [one.size_hw for one in open_source(tmp_path / "x.mp4")]
    assert got == [(first[0] + first[0] % 2, first[1] + first[1] % 2)] * len(sizes)


@pytest.mark.parametrize("name", ["x.mp4", "x.png", "shots/"])
@pytest.mark.parametrize("cut", [(..., 0), (slice(0, 0),)])
def test_a_result_that_draws_no_picture_is_told(name: str, cut: Any, tmp_path: Path) -> None:
    class Cut(Answer):
        def plot(self) -> Any:
            return super().plot()[cut]

    sink = open_sink(f"{tmp_path}/{name}")
    with pytest.raises(InputError, match=r"plot\(\) must be \(height, width, 3\) of uint8 in RGB order, not \("):
        sink.write(frame(), Cut(frame()))
    sink.close()
    assert not list(tmp_path.iterdir()) or name == "shots/"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_no_count_of_frames_costs_the_last_one(
    suffix: str, codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new piece begins at the eleventh frame, the twenty-first and so on; one of them may be the last."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    monkeypatch.setattr("edgevit.runtime.sinks.video.CODECS", (codec,))
    for count in (1, 2, 9, 10, 11, 12, 13, 14, 20, 21, 22, 33, 41):
        feed(tmp_path / f"x{suffix}", *(frame(index, at_ns=index * 100_000_000) for index in range(count)))
        with av.open(str(tmp_path / f"x{suffix}")) as container:
            times = [one.pts * one.time_base for one in container.decode(video=0)]
        assert times == [Fraction(index, 10) for index in range(count)]


def test_a_picture_that_is_too_large_for_every_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No encoder here takes pictures of 70000 x 2, .* such as shots/"):
        feed(tmp_path / "x.mp4", frame(0, "", (2, 70_000)))
    assert not list(tmp_path.iterdir())
