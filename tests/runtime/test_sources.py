"""Inputs become frames: pictures, videos on both roads, renders; and each bad input gets its sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgevit.errors import (
    EdgevitError,
    InputError,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgevit.pictures import write_picture
from edgevit.runtime.frame import Frame
from edgevit.runtime.sources import KINDS, open_source

av = pytest.importorskip("av")

U8 = npt.NDArray[np.uint8]


def numbered(index: int, size_hw: tuple[int, int]) -> U8:
    """Return a red and blue picture whose top band tells its number."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:, : size_hw[1] // 2], rgb[:, size_hw[1] // 2 :] = (200, 40, 30), (30, 40, 200)
    rgb[: size_hw[0] // 4] = 40 + 12 * (index % 16)
    return rgb


def write_video(
    path: Path,
    size_hw: tuple[int, int] = (48, 64),
    *,
    ticks: Sequence[int] = tuple(range(0, 12 * 2000, 2000)),
    pix_fmt: str = "yuv420p",
    colorspace: int | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    movflags: str = "+faststart",
) -> Path:
    """Write numbered frames at the given times, in units of 1/60000 s."""
    with av.open(str(path), "w", options={"movflags": movflags} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options=options or {})
        stream.height, stream.width = size_hw
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 60_000)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if rotation:
            stream.set_display_rotation(rotation)
        for index, tick in enumerate(ticks):
            picture = av.VideoFrame.from_ndarray(numbered(index, size_hw), format="rgb24")
            if colorspace is not None:
                picture = picture.reformat(format=pix_fmt, dst_colorspace=colorspace)
            picture.pts, picture.time_base = tick, Fraction(1, 60_000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(params=["av", "cv2"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Say which decoder reads; writers of this file have PyAV already."""
    if request.param == "cv2":
        pytest.importorskip("cv2")
        monkeypatch.setitem(sys.modules, "av", None)
    return str(request.param)


def frames_of(place: str | Path, **options: Any) -> list[Frame]:
    return list(open_source(place, **options))


# ---- pictures


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for index, name in enumerate(("p1.png", "p2.png", "p10.png")):
        write_picture(folder / name, numbered(index, (20, 30)))
    return folder


def test_a_folder_a_glob_and_a_picture_yield_their_pictures_in_order(album: Path) -> None:
    for place in (album, f"{album}/*.png", album.as_uri(), f"{album}/../album/p*.*"):
        got = frames_of(place)
        assert [Path(f.source).name for f in got] == ["p1.png", "p2.png", "p10.png"]
        assert [f.index for f in got] == [0, 1, 2]
        assert [f.captured_ns for f in got] == [0, 10**9, 2 * 10**9]
        assert all(np.array_equal(f.to_rgb(), numbered(i, (20, 30))) for i, f in enumerate(got))
    source = open_source(album / "p10.png")
    assert (source.total, source.live, len(list(source)), len(list(source))) == (1, False, 1, 1)


def test_folders_in_folders_are_read_when_asked(album: Path) -> None:
    deep = album.parent / "shelf"
    deep.mkdir()
    album.rename(deep / "album")
    assert len(frames_of(deep, recursive=True)) == 3
    assert len(frames_of(f"{deep}/**/*.png")) == 3
    with pytest.raises(InputError, match=r"its folders have, such as .*\.png\. Type: '.*shelf/\*\*/\*\.png'"):
        open_source(deep)


def test_a_bad_picture_stops_or_is_told_and_passed_over(album: Path) -> None:
    (album / "p2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"p2\.png is not a picture"):
        frames_of(album)
    source = open_source(album, on_error="skip")
    assert [(f.index, Path(f.source).name) for f in source] == [(0, "p1.png"), (1, "p10.png")]
    assert len(source.faults) == 1
    assert "p2.png" in source.faults[0]


def test_a_folder_of_bad_pictures_alone_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"None of the 2 pictures could be read\. The first: .*a\.jpg is empty"):
        frames_of(tmp_path, on_error="skip")


def test_a_picture_without_a_suffix_is_known_by_its_first_bytes(album: Path) -> None:
    bare = album / "bare"
    (album / "p1.png").rename(bare)
    assert frames_of(bare)[0].size_hw == (20, 30)


# ---- videos


def test_a_video_keeps_its_frames_and_their_times(tmp_path: Path, road: str) -> None:
    ticks = (0, 2000, 4500, 4600, 60_000)
    path = write_video(tmp_path / "x.mp4", ticks=ticks)
    source = open_source(path)
    assert (source.total, source.live) == (5, False)
    for _ in range(2):  # a loop begins again
        got = list(source)
        assert [f.index for f in got] == [0, 1, 2, 3, 4]
        assert [f.captured_ns for f in got] == pytest.approx([t * 1e9 / 60_000 for t in ticks], abs=1000)
        assert {f.pixel_format for f in got} == {"i420" if road == "av" else "bgr"}
        for index, frame in enumerate(got):
            rgb = frame.to_rgb().astype(int)
            assert np.abs(rgb[4:8, 8:56].mean((0, 1)) - (40 + 12 * index)).max() < 6
            assert np.abs(rgb[20:44, 4:28].mean((0, 1)) - (200, 40, 30)).max() < 6
    assert not source.faults


def test_a_video_that_starts_late_starts_at_zero(tmp_path: Path, road: str) -> None:
    path = write_video(tmp_path / "x.mkv", ticks=(600_000, 602_000, 604_000))
    assert [f.captured_ns for f in frames_of(path)] == pytest.approx([0, 33e6, 67e6], abs=1e6)


def test_bt709_colours_come_out_as_they_were_meant(tmp_path: Path, road: str) -> None:
    frame = frames_of(write_video(tmp_path / "x.mp4", colorspace=1))[0]
    assert frame.pixel_format != "i420"
    assert np.abs(frame.to_rgb()[20:44, 4:28].mean((0, 1)) - (200, 40, 30)).max() < 6


@pytest.mark.parametrize("size_hw", [(47, 63), (47, 64), (48, 63)])
def test_odd_sides_are_kept_to_the_pixel(size_hw: tuple[int, int], tmp_path: Path, road: str) -> None:
    frame = frames_of(write_video(tmp_path / "x.mp4", size_hw, pix_fmt="yuv444p"))[0]
    assert frame.size_hw == size_hw
    assert frame.to_rgb().shape == (*size_hw, 3)


def test_odd_sides_of_yuv420_are_no_i420_buffer(tmp_path: Path) -> None:
    from edgevit.runtime.sources.video_av import pixels_of

    picture = av.VideoFrame(63, 47, "yuv420p")
    data, pixel_format = pixels_of(picture)
    assert (data.shape, pixel_format) == ((47, 63, 3), "rgb")


def test_nv12_is_handed_over_as_it_is() -> None:
    from edgevit.runtime.sources.video_av import pixels_of

    picture = av.VideoFrame.from_ndarray(numbered(0, (48, 64)), format="rgb24").reformat(
        format="nv12", dst_colorspace=5
    )
    data, pixel_format = pixels_of(picture)
    assert (data.shape, pixel_format) == ((72, 64), "nv12")
    rgb = Frame(data, pixel_format, 0).to_rgb()
    assert np.abs(rgb[20:44, 4:28].mean((0, 1)) - (200, 40, 30)).max() < 6


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_video_stands_upright(turn: int, tmp_path: Path, road: str) -> None:
    path = write_video(tmp_path / "x.mp4", rotation=turn)
    with av.open(str(path)) as container:
        degrees = next(container.decode(video=0)).rotation
    upright = np.rot90(numbered(0, (48, 64)), round(degrees / 90))
    got = frames_of(path)[0]
    assert got.size_hw == upright.shape[:2]
    for y, x in ((4, 4), (4, -4), (-4, 4), (-4, -4)):
        assert np.abs(got.to_rgb()[y, x].astype(int) - upright[y, x]).max() < 12


def test_a_video_cut_short_yields_what_there_is_then_tells(tmp_path: Path, road: str) -> None:
    ticks = tuple(range(0, 60 * 2000, 2000))
    whole = write_video(tmp_path / "x.mp4", ticks=ticks, options={"x264-params": "bframes=0:keyint=10"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 3 // 4])
    seen: list[Frame] = []
    with pytest.raises(InputError, match=r"cut\.mp4 is damaged or cut short: .* \d+ frames could be read"):
        seen.extend(open_source(cut))
    assert 5 < len(seen) < 60
    source = open_source(cut, on_error="skip")
    assert len(list(source)) == len(seen)
    assert len(source.faults) == 1


def test_damage_in_the_middle_is_told_once(tmp_path: Path) -> None:
    ticks = tuple(range(0, 60 * 2000, 2000))
    path = write_video(tmp_path / "x.mp4", ticks=ticks, options={"x264-params": "bframes=0:keyint=10"})
    data = bytearray(path.read_bytes())
    half = (data.find(b"mdat") + len(data)) // 2
    data[half : half + 300] = np.random.default_rng(0).integers(0, 256, 300, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    source = open_source(path, on_error="skip")
    got = list(source)
    assert 20 < len(got) < 60
    assert len(source.faults) == 1
    assert "packets could not be decoded" in source.faults[0]


def test_files_that_are_no_video_get_a_sentence_each(tmp_path: Path, road: str) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video " * 50)
    data = sound_file(tmp_path / "sound.mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(data[: len(data) // 3])
    for name, sentence in {
        "empty.mp4": "is empty",
        "text.mp4": "cannot be opened",
        "headless.mp4": "cannot be opened",
        "sound.mp4": "has only sound" if road == "av" else "no video stream",
    }.items():
        with pytest.raises(InputError, match=rf"{name}.*{sentence}"):
            open_source(tmp_path / name)


def sound_file(path: Path) -> Path:
    """Copy a file of a second of silence; made in a process of its own, since a test may have hidden PyAV."""
    script = """
import sys, av, numpy as np
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("aac", rate=16000)
    for start in range(0, 16384, 1024):
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.rate, block.pts = 16000, start
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    return path


def test_a_video_in_which_nothing_decodes_is_an_error_under_both_policies(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4")
    data = bytearray(path.read_bytes())
    body = data.find(b"mdat") + 4
    data[body:] = bytes(len(data) - body)
    path.write_bytes(data)
    for policy in ("stop", "skip"):
        with pytest.raises(InputError, match="has no frame that can be decoded"):
            frames_of(path, on_error=policy)


def test_a_loop_that_breaks_off_and_a_closed_source_end_quietly(tmp_path: Path, album: Path, road: str) -> None:
    for place in (write_video_elsewhere(tmp_path), album, "synthetic://shapes?count=5"):
        source = open_source(place)
        for frame in source:
            if frame.index == 1:
                source.close()
        assert frame.index == 1
        source.close()


def write_video_elsewhere(folder: Path) -> Path:
    """Write a video whether or not a test has hidden PyAV from the sources (this module still holds it)."""
    return write_video(folder / "v.mp4")


def test_without_a_decoder_the_pip_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "x.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"Reading a video .*pip install 'edgevit\[camera\]'"):
        open_source(path)


# ---- renders


def test_renders_are_the_scenes_own_and_say_their_truth() -> None:
    from edgevit.scenes.shapes import LABELS, render, render_picture

    got = frames_of("synthetic://shapes?count=3&seed=7&start=5&size=64&fps=4")
    assert [f.source for f in got] == [f"synthetic://shapes/{i:04d}-{LABELS[i % 10]}.png" for i in (5, 6, 7)]
    assert [f.captured_ns for f in got] == [0, 250_000_000, 500_000_000]
    assert np.array_equal(got[1].data, render(6, seed=7, size=64)[0])
    large = frames_of("synthetic://shapes?count=1&size=48x80")
    assert np.array_equal(large[0].data, render_picture(0, size_hw=(48, 80), seed=0)[0])
    assert len(frames_of("synthetic://shapes")) == 12


@pytest.mark.parametrize(
    ("uri", "kind", "sentence"),
    [
        ("synthetic://shape", UnknownNameError, "no synthetic scene named 'shape'. Did you mean shapes"),
        ("synthetic://shapes?cuont=3", UnknownNameError, "no option of synthetic:// named 'cuont'. Did you mean count"),
        ("synthetic://shapes?count=0", InputError, "count of a synthetic source must be a whole number from 1"),
        ("synthetic://shapes?count=many", InputError, "not 'many'"),
        ("synthetic://shapes?size=9x9x9", InputError, "size of a synthetic source must be like 96 or 480x640"),
        ("synthetic://shapes?size=100000", InputError, "must be a whole number from 16 to 4096"),
    ],
)
def test_a_render_that_cannot_be_is_refused(uri: str, kind: type[EdgevitError], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        open_source(uri)
    assert sentence in str(caught.value)


# ---- the choice


@pytest.mark.parametrize("uri", ["webrtc://@:8554/in", "ndi://studio", "gs://bucket/x.mp4"])
def test_what_this_version_does_not_read_is_refused_with_what_it_reads(uri: str) -> None:
    with pytest.raises(UnsupportedError, match=r"t reads a picture, a folder or a quoted glob .* a video file"):
        open_source(uri)


def test_a_scheme_with_a_slip_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnsupportedError, match=r"Did you mean synthetic://\?"):
        open_source("sinthetic://shapes")


def test_missing_and_unknown_files_get_a_sentence(album: Path) -> None:
    (album / "notes.txt").write_text("hello")
    cases = {
        str(album / "p3.png"): r"There is no file .*p3\.png\. Did you mean .*p\d+\.png\?",
        str(album.parent / "albm" / "p1.png"): r"There is no folder .*albm\. Did you mean .*album\?",
        str(album / "*.jpg"): r"No picture fits the pattern .*\*\.jpg\.",
        str(album / "*.txt"): r"notes\.txt, are no pictures",
        str(album / "notes.txt"): "is neither a picture nor a video",
        "/dev/null": "is a device or a pipe",
        "": "The input is empty",
        "x" * 5000: "cannot be looked at",
    }
    for place, sentence in cases.items():
        with pytest.raises(UsageError, match=sentence):
            open_source(place)


def test_a_folder_without_pictures_names_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(InputError, match=r"has no pictures .* it has clip\.mp4"):
        open_source(tmp_path)


def test_a_policy_that_is_none_is_refused(album: Path) -> None:
    with pytest.raises(UsageError, match="on_error must be 'stop' or 'skip'"):
        open_source(album, on_error="ignore")


def test_opening_the_room_loads_no_decoder() -> None:
    rooms = "edgevit.runtime.sources, edgevit.runtime.sinks"
    script = f"import sys, {rooms}; sys.exit(bool({{'av', 'cv2', 'PIL'}} & {{*sys.modules}}))"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_opens(kind: str) -> None:
    assert callable(KINDS.load(kind).source_of)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
def test_a_video_cut_anywhere_tells_that_it_is(suffix: str, share: float, tmp_path: Path) -> None:
    """Matroska has no index in front that promises frames; the length of the whole tells."""
    av = pytest.importorskip("av")
    path = tmp_path / f"x{suffix}"
    codec = "libvpx" if suffix == ".webm" else "libx264"
    with av.open(str(path), "w", options={"movflags": "+faststart"} if suffix in (".mp4", ".mov") else {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(40):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), "rgb24"))
            )
        container.mux(stream.encode(None))
    source = open_source(path, on_error="skip")
    assert len(list(source)) == 40
    assert source.faults == []
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    cut = open_source(path, on_error="skip")
    assert 0 < len(list(cut)) < 40
    assert len(cut.faults) == 1
    assert "damaged or cut short" in cut.faults[0]
