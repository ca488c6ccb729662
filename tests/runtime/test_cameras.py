"""``edgevit doctor --cameras`` on a made-up sysfs and a driver that answers V4L2's questions in the kernel's layout."""

from __future__ import annotations

import errno
import json
import os
import struct
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from edgevit.cli import main
from edgevit.runtime.sources import camera, listing

QUERYCAP, ENUM_FMT, ENUM_SIZES, ENUM_RATES = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B

Capture = pytest.CaptureFixture[str]


class Driver:
    """Answer for one device, at the offsets that the C compiler gives."""

    def __init__(self, card: str = "Webcam C270", *, able: int = 0x04200001, node: int = 0x04200001) -> None:
        self.card, self.able, self.node = card, able | 0x80000000, node
        self.formats: dict[str, list[tuple[int, int, list[tuple[int, int]]]]] = {
            "MJPG": [(640, 480, [(1, 30)]), (1280, 720, [(1, 15), (1, 30)])],
            "YUYV": [(640, 480, [(1, 30), (2, 15), (1001, 30000)])],
        }
        self.ranged = False
        self.fault: int | None = None

    def __call__(self, question: int, data: bytes) -> bytes:
        if self.fault is not None:
            raise OSError(self.fault, os.strerror(self.fault))
        answer = bytearray(data)
        if question == QUERYCAP:
            assert len(data) == 104
            struct.pack_into("16s32s32s", answer, 0, b"uvcvideo", self.card.encode(), b"usb-0000:00:14.0-1")
            struct.pack_into("III", answer, 80, 0x060100, self.able, self.node)
            return bytes(answer)
        return bytes(self._listed(question, answer))

    def _listed(self, question: int, answer: bytearray) -> bytearray:
        (number,) = struct.unpack_from("I", answer, 0)
        try:
            if question == ENUM_FMT:
                assert len(answer) == 64
                code = list(self.formats)[number]
                struct.pack_into("32s", answer, 12, b"a format")
                struct.pack_into("4s", answer, 44, code.encode())
                return answer
            code = struct.unpack_from("4s", answer, 4)[0].decode()
            if question == ENUM_SIZES:
                assert len(answer) == 44
                if self.ranged:
                    assert number == 0, "a range is one answer"
                    struct.pack_into("IIIIIII", answer, 8, 3, 160, 1920, 8, 120, 1080, 8)
                else:
                    struct.pack_into("III", answer, 8, 1, *self.formats[code][number][:2])
                return answer
            assert (question, len(answer)) == (ENUM_RATES, 52)
            size = struct.unpack_from("II", answer, 8)
            if self.ranged:
                struct.pack_into("IIIIIII", answer, 16, 3, 1, 60, 1, 5, 0, 1)
            else:
                (rates,) = [kind[2] for kind in self.formats[code] if kind[:2] == size]
                struct.pack_into("III", answer, 16, 1, *rates[number])
            return answer
        except IndexError:
            raise OSError(errno.EINVAL, "Invalid argument") from None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a machine whose nodes are files, and whose ioctl asks the driver of the node."""
    sysfs, dev = tmp_path / "sys", tmp_path / "dev"
    drivers: dict[str, Driver] = {}
    for folder in (sysfs, dev, tmp_path / "proc"):
        folder.mkdir()
    monkeypatch.setattr(listing, "_SYS", sysfs)
    monkeypatch.setattr(listing, "_DEV", dev)
    monkeypatch.setattr(camera, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(sys, "platform", "linux")

    def ioctl(file: int, question: int, data: bytes) -> bytes:
        return drivers[str(Path(f"/proc/self/fd/{file}").readlink())](question, data)

    monkeypatch.setitem(sys.modules, "fcntl", types.SimpleNamespace(ioctl=ioctl))

    def add(number: int, driver: Driver, *, there: bool = True) -> Driver:
        node = sysfs / f"video{number}"
        node.mkdir()
        (node / "name").write_text(f"{driver.card}: name\n")
        if there:
            (dev / f"video{number}").touch()
        drivers[str(dev / f"video{number}")] = driver
        return driver

    return add


def test_a_camera_tells_its_formats_sizes_and_rates(machine: Any) -> None:
    machine(10, Driver("Last"))
    machine(2, Driver())
    first, last = listing.cameras()
    assert (first.name, last.name) == ("Webcam C270", "Last")
    assert (first.state, first.driver, first.bus) == ("ready", "uvcvideo", "usb-0000:00:14.0-1")
    assert [kind.name for kind in first.formats] == ["mjpeg", "yuyv422"]
    assert [(size.size_wh, size.rates) for size in first.formats[0].sizes] == [
        ((1280, 720), (30.0, 15.0)),
        ((640, 480), (30.0,)),
    ]
    assert first.formats[1].sizes[0].rates == (30.0, 29.97, 7.5)


def test_a_range_of_sizes_is_told_as_one(machine: Any) -> None:
    machine(0, Driver()).ranged = True
    (size,) = listing.cameras()[0].formats[0].sizes
    assert (size.smallest_wh, size.size_wh, size.rates) == ((160, 120), (1920, 1080), (60.0, 5.0))
    assert str(size) == "160x120 to 1920x1080 60/5"


@pytest.mark.parametrize("node", [0x00A00000, 0x00000002, 0x04208000])
def test_nodes_that_give_no_pictures_are_left_out(node: int, machine: Any) -> None:
    """Metadata, an output, a codec: the whole device can capture, this node cannot."""
    machine(0, Driver(node=node))
    assert listing.cameras() == ()


def test_a_camera_of_planes_is_one(machine: Any) -> None:
    machine(0, Driver(able=0x1000, node=0x1000))
    assert listing.cameras()[0].state == "ready"


def test_what_is_in_the_way_is_said(machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(5):
        machine(number, Driver(f"camera {number}"), there=number != 1)
    faults = {2: errno.EACCES, 3: errno.EBUSY, 4: errno.ENODEV}
    real = os.open

    def opened(path: Any, *rest: Any) -> int:
        number = int(str(path)[-1]) if "/dev/video" in str(path) else -1
        if number in faults:
            raise OSError(faults[number], os.strerror(faults[number]))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", opened)
    holder = tmp_path / "proc" / "77"
    (holder / "fd").mkdir(parents=True)
    (holder / "comm").write_text("cheese\n")
    (holder / "fd" / "4").symlink_to(tmp_path / "dev" / "video0")
    found = listing.cameras()
    assert [one.state for one in found] == ["busy", "missing", "not allowed", "busy", "missing"]
    assert [one.name for one in found][1:] == [f"camera {number}: name" for number in range(1, 5)]
    for one, words in zip(
        found, ("cheese (process 77)", "In a container", "usermod", "another program", "pulled out"), strict=True
    ):
        assert words in one.advice
    assert found[0].formats, "a camera that another reads tells its formats all the same"


def test_a_driver_that_fails_is_told(machine: Any) -> None:
    machine(0, Driver()).fault = errno.EIO
    (found,) = listing.cameras()
    assert found.state == os.strerror(errno.EIO)


def test_the_verb_says_it_in_words_and_as_data(machine: Any, capsys: Capture, tmp_path: Path) -> None:
    assert main(["doctor", "--cameras"]) == 0
    assert "No camera was found. Is it plugged in?" in capsys.readouterr().out
    machine(0, Driver())
    assert main(["doctor", "--cameras"]) == 0
    out = capsys.readouterr().out
    assert "video0  Webcam C270: ready (driver uvcvideo, usb-0000:00:14.0-1)" in out
    assert "  mjpeg    1280x720 30/15, 640x480 30\n" in out
    assert f"Type: edgevit run shvit_shapes {tmp_path}/dev/video0" in out
    assert main(["doctor", "--cameras", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["cameras"]
    assert told["formats"][0] == {
        "format": "mjpeg",
        "sizes": [{"size": [1280, 720], "rates": [30.0, 15.0]}, {"size": [640, 480], "rates": [30.0]}],
    }
    assert "advice" not in told


def test_elsewhere_the_names_are_those_of_pyav(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    device: Any = pytest.importorskip("av.device")
    asked = []

    def listed(kind: str) -> list[Any]:
        asked.append(kind)
        named = (("0", "FaceTime HD", "video"), ("1", "Capture screen 0", "video"), ("0", "Microphone", "audio"))
        return [types.SimpleNamespace(name=n, description=d, media_types=[m]) for n, d, m in named]

    monkeypatch.setattr(device, "enumerate_input_devices", listed)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["doctor", "--cameras"]) == 0
    out = capsys.readouterr().out
    assert "0  FaceTime HD: known" in out
    assert "Microphone" not in out
    assert "PyAV lists the names alone" in out
    assert asked == ["avfoundation"]
    monkeypatch.setitem(sys.modules, "av.device", None)
    assert listing.cameras() == ()
