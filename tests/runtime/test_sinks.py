"""Results go to pictures, videos and JSON lines: whole, under the right names, never over the input."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgevit.errors import BadOutputError, EnvironmentFault, MissingDependencyError, UnsupportedError, UsageError
from edgevit.pictures import read_picture, write_picture
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.sinks import KINDS, Fan, open_sink
from edgevit.runtime.sinks.video import fitted
from edgevit.runtime.sources import open_source
from edgevit.runtime.tracks import Track, Tracks

U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answer:
    """Be a result that draws a white corner."""

    frame: Frame
    value: float = 0.5

    @property
    def speed(self) -> dict[str, float]:
        return {}

    def plot(self) -> U8:
        picture = np.array(self.frame.to_rgb())
        picture[:8, :8] = 255
        return picture

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.frame.index, "name": "größe", "score": self.value}


def frame(index: int = 0, source: str = "", size_hw: tuple[int, int] = (48, 64), at_ns: int = 0) -> Frame:
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:] = (200, 60, 30)
    return Frame(rgb, "rgb", at_ns, index, source)


def feed(place: str | Path, *frames: Frame, **options: Any) -> None:
    sink = open_sink(place, **options)
    for one in frames:
        sink.write(one, Answer(one))
    sink.close()
    sink.close()  # a second time does nothing


# ---- pictures


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


# ---- video


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


# ---- JSON lines


def test_each_line_is_there_at_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("old\n")
    sink = open_sink(path)
    for index in range(3):
        sink.write(frame(index), Answer(frame(index)))
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["index"] for line in lines] == list(range(index + 1))
    sink.close()
    assert json.loads(lines[0])["name"] == "größe"


def test_a_number_that_json_cannot_say_is_no_line(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "x.jsonl")
    sink.write(frame(), Answer(frame()))
    with pytest.raises(BadOutputError, match="JSON has no word"):
        sink.write(frame(), Answer(frame(), float("nan")))
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 1


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(tmp_path / "x.jsonl")
    sink.write(frame(), Answer(frame()))
    whole, calls, write = (tmp_path / "x.jsonl").read_bytes(), [0], os.write

    def filling(file: int, data: Any) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:5])

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(EnvironmentFault, match=r"No space left on device\. The lines before it are whole"):
        sink.write(frame(1), Answer(frame(1)))
    assert (tmp_path / "x.jsonl").read_bytes() == whole


def test_a_dash_is_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    feed("-", frame(4))
    assert json.loads(capsys.readouterr().out)["index"] == 4


def test_a_terminal_of_another_encoding_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    feed("-", frame())
    assert json.loads(raw.getvalue().decode("ascii"))["name"] == "größe"


def test_a_reader_who_leaves_is_told_without_a_mess_at_the_end() -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd()))
from edgevit.runtime.sinks import open_sink
class Answer:
    def to_dict(self): return {"x": "y" * 10000}
sink = open_sink("-")
try:
    for _ in range(100): sink.write(None, Answer())
except BrokenPipeError: print("reader gone", file=sys.stderr)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().decode().strip() == "reader gone"
        assert process.wait(30) == 0


# ---- several, and the choice


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


# ---- rows


def test_rows_have_one_header_and_are_there_at_once(tmp_path: Path) -> None:
    path, names = tmp_path / "x.csv", ("a, b", 'c "d"', "größe")
    sink = open_sink(path)
    for index in range(3):
        scores = np.roll(np.array([0.7, 0.2, 0.1], np.float32), index)
        sink.write(
            one := frame(index, "in,put.mp4", at_ns=index * 33_366_667),
            Classification(scores, names, one, Speed(1.0, 2.5, 0.25)),
        )
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["index"] for row in rows] == [str(n) for n in range(index + 1)]
    sink.close()
    assert [row["name"] for row in rows] == list(names)
    assert rows[1] == {
        "source": "in,put.mp4", "index": "1", "seconds": "0.033367", "height": "48", "width": "64", "class": "1",
        "name": 'c "d"', "score": "0.7", "preprocess_ms": "1.0", "inference_ms": "2.5", "postprocess_ms": "0.25",
    }  # fmt: skip


def test_a_target_is_a_row_and_a_frame_without_one_is_none(tmp_path: Path) -> None:
    def track(number: int, one: Frame) -> Track:
        return Track(np.array([1, 2, 30.5, 40], np.float32), 0.5, "tracking", number, one, Speed(1, 2, 3))

    frames = [frame(index) for index in range(3)]
    answers: list[Any] = [Tracks((), frames[0]), Tracks(map(track, (7, 9), frames[1:2] * 2), frames[1])]
    sink = open_sink(tmp_path / "x.csv")
    for one, answer in zip(frames, [*answers, track(7, frames[2])], strict=True):
        sink.write(one, answer)
    sink.close()
    header, *rows = (tmp_path / "x.csv").read_text().splitlines()
    assert header.split(",")[5:12] == ["id", "state", "score", "left", "top", "right", "bottom"]
    assert [row.split(",")[1] for row in rows] == ["1", "1", "2"]
    assert rows[1].split(",")[5:12] == ["9", "tracking", "0.5", "1.0", "2.0", "30.5", "40.0"]


def test_what_has_no_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"Rows can be written of classify and track, not of None\. Name a \.js"):
        feed(tmp_path / "x.csv", frame())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_a_late_writer_does_not_begin_the_file_anew(name: str, tmp_path: Path) -> None:
    sink = open_sink(tmp_path / name)
    answer = Classification(np.array([1.0], np.float32), ("a",), frame(), Speed(1, 1, 1))
    sink.write(answer.frame, answer)
    sink.close()
    whole = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match="is finished; it takes no more lines"):
        sink.write(answer.frame, answer)
    assert (tmp_path / name).read_bytes() == whole


# ---- the window


class Cv2:
    """Be an OpenCV with one window; ``keys`` are what is pressed."""

    WINDOW_NORMAL, WND_PROP_VISIBLE = 0, 4

    class error(Exception):  # noqa: N801, N818 - OpenCV's own name
        """Be OpenCV's error."""

    def __init__(self, *keys: int, gui: str = "GTK3", visible: float = 1.0) -> None:
        self.keys, self.gui, self.visible = list(keys), gui, visible
        self.shown: list[U8] = []
        self.destroyed = 0

    def getBuildInformation(self) -> str:  # noqa: N802
        return f"General:\n  GUI:                           {self.gui}\n"

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        if self.gui == "lost":
            raise self.error("The function is not implemented")

    def imshow(self, title: str, bgr: U8) -> None:
        self.shown.append(bgr)

    def waitKey(self, wait_ms: int) -> int:  # noqa: N802
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, title: str, what: int) -> float:  # noqa: N802
        return self.visible

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        self.destroyed += 1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(cv2: Cv2, display: str = ":0", platform: str = "linux") -> Cv2:
        monkeypatch.setitem(sys.modules, "cv2", cv2)
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        return cv2

    return make


def test_a_window_shows_the_annotated_pictures(screen: Any) -> None:
    cv2 = screen(Cv2())
    feed("window://", frame(0), frame(1))
    assert len(cv2.shown) == 2
    assert cv2.shown[0][2, 2].tolist() == [255, 255, 255]
    assert cv2.shown[0][20, 20].tolist() == [30, 60, 200]
    assert cv2.destroyed == 1


@pytest.mark.parametrize("cv2", [Cv2(-1, ord("q")), Cv2(-1, 27), Cv2(-1, ord("q") | 1 << 20)])
def test_a_key_ends_a_run_quietly(cv2: Cv2, screen: Any) -> None:
    screen(cv2)
    pipeline = Pipeline(lambda one: Answer(one), (frame(n) for n in range(100)), [open_sink("window://")])
    report = pipeline.run()
    assert report.stopped == "the reader of the output went away"
    assert (len(cv2.shown), cv2.destroyed) == (2, 1)


def test_a_window_that_a_person_closed_is_not_closed_again(screen: Any) -> None:
    cv2 = screen(Cv2(visible=0.0))
    sink = open_sink("window://")
    with pytest.raises(BrokenPipeError):
        sink.write(frame(), Answer(frame()))
    sink.close()
    assert cv2.destroyed == 0


@pytest.mark.parametrize(
    ("cv2", "display", "platform", "why"),
    [
        (Cv2(), "", "linux", "there is no display"),
        (Cv2(gui="NONE"), ":0", "linux", "a headless build"),
        (Cv2(), ":0", "darwin", "macOS"),
    ],
)
def test_where_no_window_can_be_that_is_told_at_once(
    cv2: Cv2, display: str, platform: str, why: str, screen: Any
) -> None:
    screen(cv2, display, platform)
    with pytest.raises(EnvironmentFault, match=f"No window can be shown here: .*{why}"):
        open_sink("window://")


def test_a_window_that_fails_later_is_told_too(screen: Any) -> None:
    screen(Cv2(gui="lost"))
    with pytest.raises(EnvironmentFault, match="No window can be shown here"):
        feed("window://", frame())
