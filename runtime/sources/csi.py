"""Read a board's own camera, ``csi://0``: through picamera2 on a Raspberry Pi, through GStreamer on a Jetson.

Neither comes from a package registry: picamera2 is a Debian package of Raspberry Pi OS, and OpenCV knows GStreamer only
where the board's maker has built it so, as JetPack does.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EnvironmentFault, InputError

from ..frame import Frame, Pixels
from . import address
from .live import Feed, Live
from .protocol import OnError, Source

_JETSON = Path("/etc/nv_tegra_release")
_SIZE_WH = (1280, 720)
_ABSENT = (
    "csi://{} needs picamera2 (Raspberry Pi OS: sudo apt install python3-picamera2, and a virtual environment made "
    "with --system-site-packages) or an OpenCV that was built with GStreamer (a Jetson's JetPack has one). Neither is "
    "here."
)


class PiFeed:
    """Read I420 pictures and the sensor's own times from picamera2."""

    def __init__(self, number: int, wishes: address.Wishes, module: Any) -> None:
        self._name = f"csi://{number}"
        try:
            self._camera = module.Picamera2(number)
            controls = {"FrameRate": wishes.fps} if wishes.fps else {}
            size = wishes.size_wh or _SIZE_WH
            self._size_wh = size
            setting = self._camera.create_video_configuration({"size": size, "format": "YUV420"}, controls=controls)
            self._camera.configure(setting)
            self._camera.start()
        except (RuntimeError, IndexError) as exc:
            raise InputError(
                f"The camera {self._name} cannot be opened: {exc}. Type: rpicam-hello --list-cameras"
            ) from exc

    def frames(self, index: int) -> Iterator[Frame]:
        width, height = self._size_wh
        while True:
            try:
                (data,), told = self._camera.capture_arrays(["main"])
            except (RuntimeError, TimeoutError) as exc:
                raise InputError(f"{self._name} broke off: {exc}.") from exc
            # The sensor counts from the machine's start, asleep or not; the difference to our clock is taken now.
            boot_ns = time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
            now_ns = time.monotonic_ns()
            captured_ns = min(now_ns, told.get("SensorTimestamp", boot_ns) - boot_ns + now_ns)
            yield Frame(unpadded(data, height, width), "i420", captured_ns, index, self._name)
            index += 1

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()


def unpadded(data: Pixels, height: int, width: int) -> Pixels:
    """Return an I420 buffer whose rows are as wide as the picture; the camera's may be wider, its chroma's by half."""
    stride = data.shape[1]
    if stride == width:
        return data
    chroma = data[height:].reshape(2, height // 2, stride // 2)[:, :, : width // 2]
    return np.concatenate([data[:height, :width], chroma.reshape(height // 2, width)])


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open the board's camera."""
    typed, wishes = address.split(place, address.DEVICE, strict=True)
    word = typed.removeprefix("csi://") or "0"
    if not word.isdecimal():
        raise InputError(f"{typed} names no camera; they are numbered. Type: csi://0")
    return Live(f"csi://{word}", partial(opened, int(word), wishes), retries=wishes.retries)


def opened(number: int, wishes: address.Wishes) -> Feed:
    """Open it once, by the first road that is there."""
    try:
        return PiFeed(number, wishes, importlib.import_module("picamera2"))
    except ImportError:
        pass
    try:
        road = importlib.import_module("edgevit.runtime.sources.csi_cv")
    except ImportError:
        road = None
    if road is None or not road.has_gstreamer():
        raise EnvironmentFault(_ABSENT.format(number))
    feed: Feed = road.GstreamerFeed(number, wishes.size_wh or _SIZE_WH, wishes.fps, jetson=_JETSON.exists())
    return feed
