"""Sources get short names for files: safe, unique, the same for the same list, without anybody's password."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.runtime.sinks.labels import beside, labels_of
from edgevit.runtime.sources.address import shown


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["/in/hall.mp4", "/in/yard.mkv"], ["hall", "yard"]),
        (["/in/a/cam.mp4", "/in/b/cam.mp4"], ["a-cam", "b-cam"]),
        (["/in/cam.mp4", "/in/cam.mkv"], ["cam", "cam-2"]),
        (["/in/cam.mp4", "/in/CAM.mp4", "/in/cam-2.mp4"], ["cam", "CAM-3", "cam-2"]),
        (["/dev/video0", "/dev/video2"], ["video0", "video2"]),
        (["csi://0", "csi://1", "screen://"], ["csi-0", "csi-1", "screen"]),
        (["rtsp://gate.local/live", "rtsp://yard.local:554/live"], ["gate.local-live", "yard.local-554-live"]),
        (["rtsp://nvr/Streaming/Channels/101", "rtsp://nvr/Streaming/Channels/201"], ["Channels-101", "Channels-201"]),
        (["rtsp://10.0.0.5", "http://cam/live.m3u8"], ["10.0.0.5", "live"]),
        (["synthetic://shapes", "synthetic://shapes"], ["shapes", "shapes-2"]),
        (["holiday/*.jpg", "v1.2/"], ["holiday", "v1.2"]),
        (["", "..", "/"], ["0", "1", "2"]),
        (["größe.mp4", "gro\u0308ße.mp4"], ["größe", "größe-2"]),
        (["A b/c:d?.mp4"], ["c_d"]),
        (["source 0", "source 1"], ["source_0", "source_1"]),
    ],
)
def test_names_are_what_people_would_say(names: list[str], labels: list[str]) -> None:
    assert list(labels_of(names)) == labels


SECRET = "hunter2"


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://user:hunter2@cam/live",
        "rtsp://user:hunter2@cam",
        "rtsp://hunter2@cam/1",
        "rtsp://user:p/hunter2@cam/live",
        "rtsp://user:p?hunter2@cam/live",
        "rtsp://user:p#hunter2@cam/live",
        "rtsp://user:p@hunter2@cam/live",
        "http://cam/video.cgi?user=me&pwd=hunter2",
        "http://cam/video.cgi?auth=a@hunter2",
        "http://cam:80/video.cgi?auth=a@hunter2",
        "http://user:pw@cam/video.cgi?auth=a@hunter2",
        "rtsp://admin:12/hunter2@cam/1",
        "rtsp://user:p@ss/hunter2@cam/1",
        "rtsp://cam:554/user=admin&password=hunter2&channel=1&stream=0.sdp",
        "rtsp://cam/user=admin_password=hunter2_channel=1_stream=0.sdp?real_stream",
        "rtsp://cam/live;key=hunter2",
    ],
)
def test_no_label_holds_a_password(uri: str) -> None:
    """Neither of what the sources make of an address, nor of the address itself."""
    for name in (shown(uri), uri):
        for labels in (labels_of([name]), labels_of([name, name]), labels_of([name, f"{name}/x", "x"])):
            assert SECRET not in "".join(labels)


@given(
    st.lists(st.text(max_size=60) | st.sampled_from(["cam", "Cam", "a/cam", "rtsp://h/1", "0", "cam-2"]), max_size=8)
)
def test_labels_are_safe_unique_and_the_same_again(names: list[str]) -> None:
    labels = labels_of(names)
    assert labels == labels_of(list(names))
    assert len({label.casefold() for label in labels}) == len(names)
    for label in labels:
        assert re.fullmatch(r"[\w+](?:[\w.+-]*[\w+])?", label), label
        assert not label.startswith((".", "-"))
        assert len(label) <= 44


def test_a_label_stands_before_the_suffix() -> None:
    assert beside("films/seen.mkv", "hall") == "films/seen-hall.mkv"
    assert beside("v1.2.mp4", "hall.local") == "v1.2-hall.local.mp4"
