"""Live sources over real sockets: an MJPEG camera that stops, freezes, sends noise, changes its size, starts anew."""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mjpeg_server import Camera, Server, answers, freezes, jpeg, noise, sends, serves
from paced import Kept, Waits

from edgevit.errors import EnvironmentFault, InputError, MissingDependencyError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks.labels import labels_of
from edgevit.runtime.sources import camera, live, live_av, open_source, open_sources
from edgevit.runtime.sources.address import DEVICE, NETWORK, Wishes, shown, split, without_login
from edgevit.runtime.sources.stream_clock import StreamClock

av = pytest.importorskip("av")
pytest.importorskip("PIL")

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.01)


def some(source: Any, count: int) -> list[Frame]:
    """Take so many frames of a source, and close it."""
    try:
        return list(itertools.islice(source, count))
    finally:
        source.close()


# ---- MJPEG over HTTP


def test_pictures_come_in_order_with_the_time_of_their_arrival() -> None:
    with Server(sends(1000)) as server:
        source: Any = open_source(server.url)
        assert (source.live, source.total, source.name) == (True, None, server.url)
        got = some(source, 10)
    assert [frame.index for frame in got] == list(range(10))
    assert all(frame.size_hw == (48, 64) and frame.source == server.url for frame in got)
    times = [frame.captured_ns for frame in got]
    assert times == sorted(times)
    levels = [float(frame.to_rgb().mean()) for frame in got]
    assert all(3 < (b - a) % 192 < 5 for a, b in itertools.pairwise(levels)), "none is left out once it runs"
    assert source.reconnects == 0


@pytest.mark.parametrize("way", ["stops", "freezes"])
def test_a_stream_that_stops_or_freezes_comes_back_and_is_counted(way: str) -> None:
    then = None if way == "stops" else freezes
    with Server(sends(12, then=then), sends(12, then=then), sends(10_000)) as server:
        source: Any = open_source(f"{server.url}?timeout=400ms")
        got = some(source, 40)
    assert [frame.index for frame in got] == list(range(40))
    assert source.reconnects == 2
    assert len(source.faults) == 2
    assert ("sent nothing for 0.4 s" in source.faults[0]) == (way == "freezes")
    assert server.paths == ["/video"] * 3, "the camera is not asked for what is meant for us"


def test_noise_is_given_up_and_tried_again() -> None:
    with Server(sends(8, then=noise), sends(10_000)) as server:
        source: Any = open_source(f"{server.url}?timeout=400ms")
        got = some(source, 30)
    assert len(got) == 30
    assert source.reconnects == 1


def test_a_picture_of_another_size_is_handed_over_as_it_is() -> None:
    def larger(camera: Camera) -> None:
        for number in range(500):
            camera.part(jpeg(number, (80, 96)))

    with Server(sends(12, then=larger)) as server:
        sizes = [frame.size_hw for frame in some(open_source(server.url), 30)]
    assert sizes[0] == (48, 64)
    assert sizes[-1] == (96, 80)
    assert sizes == sorted(sizes)


def test_a_server_that_is_started_again_is_found_again() -> None:
    with Server(sends(10_000)) as first:
        source: Any = open_source(f"{first.url}?timeout=1s")
        frames = iter(source)
        assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]
        port = first.server_port
        first.ended.set()
        first.shutdown()
        first.server_close()
        again: list[Server] = []

        def start() -> None:
            server = Server(sends(10_000), port=port)
            again.append(server.__enter__())

        threading.Timer(0.3, start).start()
        indices = []
        for frame in frames:
            indices.append(frame.index)
            if source.reconnects:
                break
        source.close()
    again[0].__exit__()
    assert indices == list(range(5, 5 + len(indices)))
    assert source.reconnects == 1


@pytest.mark.parametrize(
    ("code", "sentence"), [(404, "the path is wrong"), (401, "another user or password"), (500, "cannot be opened")]
)
def test_a_mistake_is_told_when_the_source_is_opened(code: int, sentence: str) -> None:
    with Server(answers(code)) as server, pytest.raises(InputError, match=sentence):
        open_source(server.url)


def test_a_port_at_which_nobody_listens_is_told() -> None:
    with Server(answers(404)) as server:
        pass
    with pytest.raises(InputError, match="nothing listens at that port"):
        open_source(server.url)


def test_who_does_not_answer_is_told_in_time() -> None:
    with Server(freezes) as server, pytest.raises(InputError, match=r"does not answer within 0\.3 s"):
        open_source(f"{server.url}?timeout=0.3")


def test_retries_end_at_their_number() -> None:
    with Server(sends(12), answers(404)) as server:
        source = open_source(f"{server.url}?retries=2")
        seen: list[Frame] = []
        with pytest.raises(InputError, match=r"It was tried again 2 times in vain"):
            seen.extend(source)
    assert seen
    assert len(server.paths) == 4 - 1


def test_a_password_is_sent_but_never_shown() -> None:
    with Server(sends(1000)) as server:
        place = server.url.replace("http://", "http://eve:s3cret@")
        source: Any = open_source(place)
        (frame,) = some(source, 1)
        assert frame.source == source.name == server.url.replace("http://", "http://eve:…@")
    with pytest.raises(InputError) as caught:
        open_source(place)
    assert "s3cret" not in str(caught.value)


def test_a_file_behind_a_url_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"x264-params": "bframes=0:keyint=4"})
        stream.width, stream.height = 64, 48
        rng = np.random.default_rng(0)
        for _ in range(12):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with Server(serves(path.read_bytes())) as server:
        source = open_source(f"{server.url}.mp4")
        assert not source.live
        assert [frame.index for frame in source] == list(range(12))
        cut = path.read_bytes()
        server.scripts[:] = [serves(cut[: len(cut) * 3 // 4])]
        sink = Kept()
        with pytest.raises(InputError, match="damaged or cut short"):
            Pipeline(Waits(0, 0), open_source(f"{server.url}.mp4"), [sink]).run()
        assert sink.indices == list(range(len(sink.indices)))
        assert sink.closed == 1


def test_a_run_over_a_stream_that_breaks_counts_its_reconnects() -> None:
    with Server(sends(12), sends(12), sends(10_000)) as server:
        report = Pipeline(Waits(0, 0.001), open_source(server.url), [Kept()], plan=Plan(limit=20)).run()
    (told,) = report.sources
    assert told.name == server.url
    assert told.answered == 20
    assert told.disordered == 0
    assert told.reconnects >= 1


def test_a_run_can_be_ended_while_a_stream_is_silent() -> None:
    with Server(sends(12, then=freezes)) as server:
        report = Pipeline(Waits(0), open_source(f"{server.url}?timeout=3s")).run(seconds=0.3)
    assert report.sources[0].answered > 0


class Still:
    """Be a connection that only knows whether it is held."""

    def __init__(self) -> None:
        self.closed = 0

    def frames(self, index: int) -> Any:
        while True:
            yield Frame(np.zeros((2, 2, 3), np.uint8), "rgb", time.monotonic_ns(), index)
            index += 1

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("begun", [True, False])
def test_a_connection_is_closed_once_whether_it_was_read_or_not(begun: bool) -> None:
    feed = Still()
    source = live.Live("still", lambda: feed)
    if begun:
        assert next(iter(source)).index == 0
    source.close()
    source.close()
    assert list(source) == []
    assert feed.closed == 1


# ---- the grammar


@pytest.mark.parametrize(
    ("uri", "address", "wishes"),
    [
        ("rtsp://a/1?transport=udp&channel=2&timeout=3s", "rtsp://a/1?channel=2", Wishes(transport="udp", timeout_s=3)),
        ("http://a/v?size=640x480&fps=5", "http://a/v?size=640x480&fps=5", Wishes()),
        ("http://a/v?x=%20a&retries=0", "http://a/v?x=%20a", Wishes(retries=0)),
        ("http://a/v?timeout=250ms", "http://a/v", Wishes(timeout_s=0.25)),
    ],
)
def test_a_network_s_url_keeps_what_is_not_ours(uri: str, address: str, wishes: Wishes) -> None:
    assert split(uri, NETWORK, strict=False) == (address, wishes)


def test_a_camera_s_options_are_all_ours() -> None:
    told = split("/dev/video0?size=1280x720&fps=29.97&format=mjpeg", DEVICE, strict=True)
    assert told == ("/dev/video0", Wishes((1280, 720), 29.97, "mjpeg"))
    assert live_av.options_of(told[1], "v4l2") == {
        "video_size": "1280x720",
        "framerate": "29.97",
        "input_format": "mjpeg",
    }


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("0?sise=1x1", "no option of this input named 'sise'. Did you mean size"),
        ("0?size=big", "size=big cannot be read. Expected size=1280x720"),
        ("0?fps=0", "fps=0 cannot be read"),
        ("rtsp://a/1?transport=pigeon", "Expected transport=tcp or udp"),
        ("http://a/1?timeout=0", "timeout=0 cannot be read"),
        ("http://a/1?retries=-1", "retries=-1 cannot be read"),
        ("csi://left", "they are numbered"),
    ],
)
def test_a_wish_that_cannot_be_is_named(uri: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        open_source(uri)


def test_shown_hides_the_password_alone() -> None:
    assert shown("rtsp://me:secret@cam:554/1?a=b:c") == "rtsp://me:…@cam:554/1?a=b:c"
    assert shown("rtsp://me@cam/1") == "rtsp://me@cam/1"
    assert shown("http://cam/a:b@c") == "http://cam/a:b@c"
    assert shown("rtsp://me@[::1]:554/1") == "rtsp://me@[::1]:554/1"
    assert shown("rtsp://cam:554/x:y") == "rtsp://cam:554/x:y"
    assert shown("rtsp://me:se/cr#et@cam/1") == "rtsp://me:…@cam/1", "no URL, but typed"
    assert shown("rtsp://me:se/cr?e#t@cam/1") == "rtsp://me:…?…@cam/1"
    assert shown("http://[::1]/a@b") == "http://[::1]/a@b"
    assert shown("http://[::1]:80/a@b") == "http://[::1]:80/a@b"
    assert shown("http://cam/v.cgi?user=me&pwd=secret&channel=1") == "http://cam/v.cgi?user=me&pwd=…&channel=1"
    assert shown("rtsp://cam/user=me_password=secret_channel=1") == "rtsp://cam/user=me_password=…"


SIGNS = st.text("aZ0 @:/?#[]!%", max_size=6)


@given(
    st.sampled_from(["me", "", "me@home.com", "m[e"]),
    st.tuples(SIGNS, SIGNS).map("sEcrEt".join),
    st.sampled_from(["cam/1", "cam", "cam:554/1", "[::1]:554/1", "cam/1?channel=1"]),
)
@example("admin", "12/34sEcrEt", "cam/1")
@example("u", "p@ss/wsEcrEt", "host/1")
def test_no_password_is_shown_and_the_label_is_the_same_with_it(user: str, password: str, host: str) -> None:
    uri = f"rtsp://{user}:{password}@{host}"
    hidden = "…?…" if "?" in password else "…"
    assert shown(uri) == f"rtsp://{user}:{hidden}@{host}"
    assert labels_of([shown(uri)]) == labels_of([uri])
    assert "sEcrEt" not in without_login(uri, f"no answer of {uri}: {user}:{password} is refused, as is '{password}'")


@pytest.mark.parametrize("uri", ["http://cam:80?at=a@b", "rtsp://cam:554/x@y:z", "rtsp://me:secret@cam:554/1?a=@b:c"])
def test_what_may_be_a_password_is_hidden_rather_than_shown(uri: str) -> None:
    assert re.fullmatch(r"\w+://\w+:…(\?…)?@[yzbc:]+", shown(uri))


@pytest.mark.parametrize(
    ("uri", "words", "told"),
    [
        ("rtsp://me:s3c-ret/x@cam/1", "Port could not be read as 's3c-ret'", "Port could not be read as '…'"),
        ("rtsp://me:a@b/c@cam/1", "tcp://me:a@b is silent", "tcp://me:… is silent"),
        ("rtsp://me@cam/1", "the time is over for me@cam", "the time is over for me@cam"),
        ("rtsp://me:e@cam/1", "the end", "the end"),
    ],
)
def test_a_foreign_message_loses_what_it_took_for_the_password(uri: str, words: str, told: str) -> None:
    assert without_login(uri, words) == told


def test_an_address_that_is_none_is_told_without_its_password() -> None:
    with pytest.raises(InputError, match="cannot be opened") as caught:
        open_source("rtsp://me:secret@[::1/x?token=hush")
    assert "secret" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_list_opens_all_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "hall.streams"
    path.write_text("# two\nsynthetic://shapes?count=2\n\nsynthetic://shapes?count=3\n")
    report = Pipeline(Waits(0), list(open_sources(path))).run()
    assert [source.answered for source in report.sources] == [2, 3]
    with pytest.raises(UsageError, match="is a list of inputs"):
        open_source(path)
    path.write_text("synthetic://shapes\n\nnothing.mp4\n")
    with pytest.raises(InputError, match=r"hall.streams, line 3: There is no"):
        open_sources(path)
    path.write_text("# none\n")
    with pytest.raises(InputError, match="names no input"):
        open_sources(path)
    assert len(open_sources("synthetic://shapes")) == 1


# ---- cameras


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(camera, "_DEV", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@pytest.mark.parametrize("typed", [7, "7", "v4l2://7"])
def test_a_camera_that_is_missing_names_those_that_are_there(typed: str | int, dev: Path) -> None:
    with pytest.raises(InputError, match=r"There is no camera .*video7, nor any other\. Is it plugged in"):
        open_source(typed)
    (dev / "video2").touch()
    with pytest.raises(InputError, match=r"There is no camera .*video7; there are .*video2\."):
        open_source(typed)


def test_a_camera_that_is_not_allowed_says_what_to_type(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*asked: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=r"permission denied\. Type: sudo usermod -aG video"):
        open_source("0")


def test_a_camera_that_is_busy_names_who_has_it(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dev / "video0").touch()
    holder = dev / "proc" / "4321"
    (holder / "fd").mkdir(parents=True)
    (holder / "comm").write_text("cheese\n")
    (holder / "fd" / "5").symlink_to(dev / "video0")
    monkeypatch.setattr(camera, "_PROC", dev / "proc")

    def busy(*asked: object, **options: object) -> None:
        raise av.error.OSError(16, "Device or resource busy", "video0")

    monkeypatch.setattr(av, "open", busy)
    with pytest.raises(InputError, match=r"is busy: it is used by cheese \(process 4321\)\. Close that one"):
        open_source("0")


def test_a_file_that_is_no_camera_is_told(dev: Path) -> None:
    (dev / "video0").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"video0 gives no pictures: .*doctor --cameras"):
        open_source("0")


def test_a_device_gives_its_own_pixels_and_times() -> None:
    """FFmpeg's own test pattern stands in for the driver."""
    from edgevit.runtime.sources.live_av import open_feed

    feed = open_feed("testsrc=size=64x48:rate=30,format=yuyv422", "lavfi", timeout_s=5, options={}, device="lavfi")
    source = live.Live("pattern", lambda: feed)
    got = some(source, 5)
    assert {frame.pixel_format for frame in got} == {"yuyv"}
    assert got[0].data.shape == (48, 64, 2)
    gaps = np.diff([frame.captured_ns for frame in got])
    assert (gaps > 0).all()


def test_a_screen_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(EnvironmentFault, match=r"DISPLAY is not set.* Type: screen://:0"):
        open_source("screen://")
    with pytest.raises(InputError, match="The screen :99 cannot be read"):
        open_source("screen://:99?size=64x48")


@pytest.mark.parametrize("uri", ["0", "http://127.0.0.1:9/x", "screen://:0"])
def test_without_pyav_and_opencv_the_pip_line_is_told(uri: str, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dev / "video0").touch()
    for library, road in (("av", "live_av"), ("cv2", "live_cv")):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, f"edgevit.runtime.sources.{road}", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevit\[camera\]'"):
        open_source(uri)


# ---- csi


def test_csi_without_its_libraries_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "edgevit.runtime.sources.csi_cv", raising=False)
    with pytest.raises(EnvironmentFault, match=r"csi://0 needs picamera2 .* or an OpenCV"):
        open_source("csi://0")


class Picamera2:
    """Answer as the library does: a padded I420 buffer and the sensor's time since the machine's start."""

    def __init__(self, number: int) -> None:
        if number:
            raise IndexError("list index out of range")

    def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any]) -> dict[str, Any]:
        return {**main, **controls}

    def configure(self, setting: dict[str, Any]) -> None:
        self.width, self.height = setting["size"]
        assert setting["format"] == "YUV420"
        assert setting["FrameRate"] == 30

    def start(self) -> None:
        pass

    def capture_arrays(self, names: list[str]) -> tuple[tuple[Any], dict[str, int]]:
        stride = self.width + 16
        data = np.zeros((self.height * 3 // 2, stride), np.uint8)
        data[: self.height, : self.width] = 128
        chroma = data[self.height :].reshape(2, self.height // 2, stride // 2)
        chroma[0, :, : self.width // 2], chroma[1, :, : self.width // 2] = 90, 240
        return (data,), {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 20_000_000}

    def stop(self) -> None:
        pass

    close = stop


def test_a_raspberry_pi_s_camera_hands_over_i420(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=Picamera2))
    (frame,) = some(open_source("csi://0?size=64x48&fps=30"), 1)
    assert (frame.pixel_format, frame.size_hw) == ("i420", (48, 64))
    assert time.monotonic_ns() - frame.captured_ns >= 20_000_000
    red, green, _ = frame.to_rgb().reshape(-1, 3).T.astype(int)
    assert (red > green + 100).all()
    with pytest.raises(InputError, match="rpicam-hello --list-cameras"):
        open_source("csi://1?fps=30")


# ---- the clock of a stream


@given(st.lists(st.integers(0, 5_000_000_000), min_size=1, max_size=60), st.integers(-(10**12), 10**12))
def test_no_frame_comes_from_the_future_and_what_is_late_is_old(delays_ns: list[int], apart_ns: int) -> None:
    """Frames leave every 40 ms by a clock that stands elsewhere, and are under way for those times."""
    clock, last_ns = StreamClock(), 0
    fastest = None
    for number, delay_ns in enumerate(delays_ns):
        sent_ns = 10**13 + number * 40_000_000
        now_ns = last_ns = max(last_ns, sent_ns + delay_ns)
        under_way = now_ns - sent_ns
        fastest = under_way if fastest is None else min(fastest, under_way)
        age_ns = now_ns - clock.captured_ns(sent_ns + apart_ns, now_ns)
        slack_ns = 2_000_000 + (now_ns - 10**13) // 1000
        assert 0 <= age_ns <= under_way - fastest
        assert age_ns >= under_way - fastest - slack_ns


def test_a_sender_that_counts_anew_is_followed() -> None:
    clock = StreamClock()
    assert clock.captured_ns(1000, 10_000) == 10_000
    assert clock.captured_ns(0, 90_000) == 90_000
    assert clock.captured_ns(None, 95_000) == 95_000


def test_a_slower_clock_is_followed() -> None:
    clock = StreamClock()
    ages_ms = []
    for number in range(100_000):
        now_ns = number * 33_000_000
        ages_ms.append((now_ns - clock.captured_ns(round(now_ns * (1 - 1e-4)), now_ns)) / 1e6)
    assert max(ages_ms) < 1
