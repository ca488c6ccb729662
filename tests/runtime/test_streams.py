"""RTSP and HLS over real sockets, by PyAV and by OpenCV: what stops, freezes, changes, sends garbage or starts anew."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from hls_server import HlsServer
from hypothesis import given
from hypothesis import strategies as st
from mjpeg_server import Server, answers, sends
from mjpeg_server import freezes as silent
from paced import Kept, Waits
from rtsp_server import Act, RtspServer, babble, freezes, loop, noise, then

from edgevit.errors import InputError
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sources import hardware_av, live, live_av, open_source
from edgevit.runtime.sources.asking import asked
from edgevit.runtime.sources.catching_up import CatchingUp

av: Any = pytest.importorskip("av")
pytest.importorskip("PIL")

pytestmark = pytest.mark.timeout(120)

SMALL, LARGE = (48, 64), (96, 80)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.01)


def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave OpenCV as the only road."""
    monkeypatch.setitem(sys.modules, "av", None)
    for module in ("live_av", "video_av", "hardware_av"):
        monkeypatch.delitem(sys.modules, f"edgevit.runtime.sources.{module}", raising=False)


@pytest.fixture(params=["av", "cv2"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "cv2":
        pytest.importorskip("cv2")
        without_pyav(monkeypatch)
    return str(request.param)


def some(source: Any, count: int) -> list[Frame]:
    """Take so many frames of a source, and close it."""
    try:
        return list(itertools.islice(source, count))
    finally:
        source.close()


def until_back(source: Any, more: int = 5, most: int = 2000) -> list[Frame]:
    """Take frames until the source has come back and given some more."""
    seen: list[Frame] = []
    after = 0
    for frame in source:
        seen.append(frame)
        after += source.reconnects > 0
        if after > more or len(seen) > most:
            break
    source.close()
    return seen


# ---- RTSP


def test_rtsp_is_read(road: str) -> None:
    with RtspServer() as server:
        source: Any = open_source(f"{server.url}?timeout=5s")
        got = some(source, 20)
    assert [frame.index for frame in got] == list(range(20))
    assert {(frame.pixel_format, frame.size_hw) for frame in got} == {("i420" if road == "av" else "bgr", SMALL)}
    assert source.name == server.url
    times = [frame.captured_ns for frame in got]
    assert times == sorted(times)
    assert [("read by OpenCV, since PyAV is not installed" in fault) for fault in source.faults] == [True] * (
        road == "cv2"
    )


@pytest.mark.parametrize("way", ["hangs up", "freezes", "sends noise", "babbles"])
def test_rtsp_that_fails_comes_back_and_is_counted(way: str, road: str) -> None:
    after: dict[str, tuple[Act, ...]] = {
        "hangs up": (), "freezes": (freezes,), "sends noise": (noise,), "babbles": (babble, freezes),
    }  # fmt: skip
    with RtspServer(then(40, *after[way]), loop()) as server:
        source: Any = open_source(f"{server.url}?timeout=700ms")
        got = until_back(source)
    assert [frame.index for frame in got] == list(range(len(got)))
    assert source.reconnects == 1
    if way == "freezes" and road == "av":
        assert "sent nothing for 0.7 s" in source.faults[0]


def test_a_stream_that_changes_its_size_goes_on() -> None:
    """OpenCV goes on too, and scales what comes to the first size."""
    with RtspServer(then(30, loop(LARGE[::-1]))) as server:
        sizes = []
        source: Any = open_source(f"{server.url}?timeout=3s")
        for frame in source:
            sizes.append(frame.size_hw)
            if sizes[-1] == LARGE or len(sizes) > 200:
                break
        source.close()
    assert sizes[0] == SMALL
    assert sizes[-1] == LARGE
    assert sizes == sorted(sizes)


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV has no encoder of H.265")
def test_a_camera_that_is_set_to_another_codec_is_read_on(road: str) -> None:
    """It hangs up, and describes itself anew to who comes back."""
    with RtspServer(then(90), ("H265", loop(LARGE[::-1], "H265"))) as server:
        source: Any = open_source(f"{server.url}?timeout=3s")
        got = until_back(source)
    assert {frame.size_hw for frame in got} == {SMALL, LARGE}
    assert source.reconnects == 1


def test_an_rtsp_server_that_is_started_again_is_found_again(road: str) -> None:
    first = RtspServer()
    first.__enter__()
    port = int(first.server_address[1])
    source: Any = open_source(f"{first.url}?timeout=1s")
    frames, again = iter(source), []
    assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]
    first.__exit__()

    def start() -> None:
        again.append(RtspServer(port=port).__enter__())

    threading.Timer(0.4, start).start()
    indices = [frame.index for frame in itertools.takewhile(lambda _: not source.reconnects, frames)]
    source.close()
    again[0].__exit__()
    assert source.reconnects == 1
    assert indices == list(range(5, 5 + len(indices)))


def test_a_run_counts_what_an_rtsp_camera_did() -> None:
    with RtspServer(then(20), then(20, noise), loop()) as server:
        source: Any = open_source(f"{server.url}?timeout=600ms")
        sink = Kept()
        pipeline = Pipeline(Waits(0, 0.001), source, [sink], plan=Plan(limit=55))
        report = pipeline.run()
    (told,) = report.sources
    assert (told.answered, told.disordered) == (55, 0)
    assert told.reconnects >= 1
    assert sink.indices == sorted(sink.indices)


def test_what_piles_up_in_front_of_a_slow_reader_counts_as_age() -> None:
    """The stream runs at its pace; a reader that sleeps gets late frames, and their times say how late."""
    with RtspServer() as server:
        source: Any = open_source(server.url)
        frames = iter(source)
        for _ in range(10):
            next(frames)
        time.sleep(0.5)
        first = next(frames)
        age_ns = time.monotonic_ns() - first.captured_ns
        source.close()
    assert age_ns > 250_000_000


def test_who_wants_the_newest_leaves_out_what_piled_up() -> None:
    """The next key picture is here already; what comes before it is not decoded, and counted."""
    with RtspServer() as server:
        source: Any = open_source(server.url)
        source.hurry = True
        frames = iter(source)
        for _ in range(45):
            last = next(frames)
        time.sleep(2.5)
        caught = list(itertools.islice(frames, 15))
        age_ns = time.monotonic_ns() - caught[-1].captured_ns
        source.close()
    assert source.left_out > 30
    assert [frame.index for frame in caught] == list(range(caught[0].index, caught[0].index + 15))
    assert caught[0].index == last.index + 1 + source.left_out
    assert age_ns < 1_000_000_000


@pytest.mark.slow
def test_a_run_that_is_slow_to_decode_stays_young_and_counts_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding takes twice the time that the camera leaves for it."""
    decoded = live_av._sound

    def slowly(packet: Any) -> Any:
        time.sleep(0.066)
        return decoded(packet)

    monkeypatch.setattr(live_av, "_sound", slowly)
    with RtspServer() as server:
        report = Pipeline(Waits(0), open_source(server.url), plan=Plan("newest")).run(seconds=6)
        (told,) = report.sources
        assert report.age is not None
        assert report.age.p99_ms < 2000
        assert told.dropped > 20
        assert told.captured >= told.answered + told.dropped
        assert told.disordered == 0


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=120),
    st.integers(1, 30),
    st.booleans(),
)
def test_pictures_are_left_out_only_when_a_newer_key_picture_is_due(
    delays_ms: list[int], apart: int, steady: bool
) -> None:
    """Whoever keeps up loses nothing; and what is decoded after a gap is a key picture."""
    catching, now_ms, skipped = CatchingUp(), 0, False
    for number in range(200):
        sent_ms = number * 33
        busy_ms = 0 if steady else delays_ms[number % len(delays_ms)]
        now_ms = max(now_ms, sent_ms)
        key = number % apart == 0
        behind_ms = now_ms - sent_ms
        if catching.worth(sent_ms * 10**6, now_ms * 10**6, key=key):
            assert not skipped or key
            skipped = False
            now_ms += busy_ms
        else:
            skipped = True
            assert behind_ms > 500 or number > apart
            assert now_ms + 1 >= (number - number % apart + apart) * 33 or not key
    assert not steady or catching.left_out == 0


def test_a_mistake_is_told_in_the_same_words(road: str) -> None:
    with RtspServer() as server, pytest.raises(InputError, match=r"is not there .*the path is wrong|cannot be opened"):
        open_source(f"{server.url}-not?timeout=2s")
    with pytest.raises(InputError, match="refuses: nothing listens at that port"):
        open_source(f"{server.url}?timeout=2s")


def test_opencv_says_the_same_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    without_pyav(monkeypatch)
    for code, words in ((404, "the path is wrong"), (401, "wants another user or password"), (500, "cannot be opened")):
        with Server(answers(code)) as server, pytest.raises(InputError, match=words) as caught:
            open_source(f"{server.url.replace('://', '://eve:s3cret@')}?timeout=2s")
        assert "s3cret" not in str(caught.value)
    with Server(silent) as server, pytest.raises(InputError, match=r"does not answer within 0\.5 s"):
        open_source(f"{server.url}?timeout=0.5")
    with Server(sends(40), sends(10_000)) as server:
        source: Any = open_source(f"{server.url}?timeout=1s")
        got = until_back(source)
    assert source.reconnects == 1
    assert [frame.index for frame in got] == list(range(len(got)))


def test_no_password_goes_to_a_machine_that_is_asked() -> None:
    seen: list[str] = []

    def listens(camera: Any) -> None:
        seen.append(str(camera.headers))
        camera.send_error(401)

    with Server(listens) as server:
        told = asked(server.url.replace("://", "://eve:s3cret@"), 2)
    assert (told.kind, "401" in str(told.strerror)) == ("login", True)
    assert len(seen) == 1
    assert "s3cret" not in seen[0]
    assert "Authorization" not in seen[0]


# ---- hardware


def test_hardware_that_is_not_here_is_told_and_the_processor_decodes() -> None:
    with RtspServer() as server:
        for wish, words in (("nosuch", "is not in this FFmpeg"), ("auto", None)):
            source: Any = open_source(f"{server.url}?hw={wish}&timeout=5s")
            assert len(some(source, 3)) == 3
            assert all("the processor decodes" in fault for fault in source.faults)
            assert words is None or words in source.faults[0]
        plain: Any = open_source(f"{server.url}?hw=off")
        assert len(some(plain, 3)) == 3
        assert not plain.faults


def test_the_first_kind_of_hardware_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {"cuda": "Operation not permitted", "qsv": "no h264", "vaapi": None, "drm": None}
    monkeypatch.setattr(av.codec.hwaccel, "hwdevices_available", lambda: list(faults))
    monkeypatch.setattr(av.codec.hwaccel, "HWAccel", lambda kind: ("accelerator", kind))
    monkeypatch.setattr(hardware_av, "_fault_of", faults.get)
    assert hardware_av.accelerator("auto") == (("accelerator", "vaapi"), "")
    assert hardware_av.accelerator("drm") == (("accelerator", "drm"), "")
    setting, note = hardware_av.accelerator("cuda")
    assert setting is None
    assert note == "hw=cuda finds no decoder that works (cuda: Operation not permitted); the processor decodes"
    monkeypatch.delattr(av.codec, "hwaccel")
    assert "needs a newer PyAV" in hardware_av.accelerator("auto")[1]


# ---- HLS


def test_a_list_that_is_whole_is_a_video(road: str) -> None:
    with HlsServer(live=False) as server:
        source = open_source(server.url)
        assert not source.live
        got = list(source)
    assert len(got) == 24 * 15
    levels = [float(frame.to_rgb().mean()) for frame in got[:60:10]]
    assert levels == sorted(levels)


def test_a_list_that_grows_is_live(road: str) -> None:
    with HlsServer(live=True) as server:
        source: Any = open_source(f"{server.url}?timeout=5s")
        assert source.live
        got = some(source, 75)
        asked_for = [path for path in server.paths if path.endswith(".ts")]
    assert [frame.index for frame in got] == list(range(75))
    assert len(asked_for) >= 5
    assert source.reconnects == 0


def test_a_list_that_no_longer_grows_is_noticed() -> None:
    with HlsServer(live=True, stops_at=4) as server:
        source: Any = open_source(f"{server.url}?timeout=1500ms&retries=0")
        with pytest.raises(InputError, match=r"sent nothing .*for 1\.5 s"):
            some(source, 5000)


def test_segments_that_are_gone_are_noticed() -> None:
    with HlsServer(live=True) as server:
        source: Any = open_source(f"{server.url}?timeout=1500ms&retries=1")
        frames = iter(source)
        for _ in range(5):
            next(frames)
        server.gone.set()
        with pytest.raises(InputError, match="tried again 1 times in vain"):
            for _ in frames:
                pass


# ---- another's server


GSTREAMER = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service("0")
# I420, because RTP has no form for the JPEG of the source's own 4:4:4.
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 ! "
                   "jpegenc ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def test_rtsp_of_gstreamer_s_own_server_is_read() -> None:
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("gst-rtsp-server and its Python binding are not installed (make system-deps)")
    process = subprocess.Popen([python, "-c", GSTREAMER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        got = some(open_source(f"rtsp://127.0.0.1:{port}/cam?timeout=10s"), 10)
        assert [frame.index for frame in got] == list(range(10))
        assert {frame.size_hw for frame in got} == {(48, 64)}
    finally:
        process.kill()
        process.wait()
