"""Read a camera of this machine: ``0``, ``/dev/video0``, ``v4l2:///dev/video0?size=1280x720&fps=30&format=mjpeg``.

A camera that is missing, busy or not allowed says which of the three it is.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from pathlib import Path

from edgevit.errors import EnvironmentFault, InputError

from . import address
from .live import Feed, Live
from .protocol import OnError, Source
from .roads import live_road

_DEV = Path("/dev")
_PROC = Path("/proc")
_BUSY = (errno.EBUSY,)
_NO_CAMERA = (errno.ENOTTY, errno.EINVAL, errno.ENODEV)


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open a camera; it is opened again when it was pulled out and put back."""
    typed, wishes = address.split(place, address.DEVICE, strict=True)
    device = device_of(typed)
    return Live(device, partial(opened, device, wishes), retries=wishes.retries)


def device_of(typed: str) -> str:
    """Return the device file (elsewhere than on Linux: the number) that was meant."""
    word = typed.removeprefix("v4l2://")
    if not word.isdecimal():
        return word
    return str(_DEV / f"video{word}") if sys.platform == "linux" else word


def opened(device: str, wishes: address.Wishes) -> Feed:
    """Open the camera once."""
    driver = {"linux": "v4l2", "darwin": "avfoundation"}.get(sys.platform)
    if driver is None:
        raise EnvironmentFault(f"Cameras are read on Linux and macOS; this is {sys.platform}. On Windows use WSL.")
    if driver == "v4l2":
        _look(device)
    road = live_road("Reading a camera")
    try:
        feed: Feed = road.open_camera(device, driver, wishes)
    except InputError:
        raise
    except road.errors() as exc:
        number = getattr(exc, "errno", None)
        if number in _BUSY:
            raise InputError(_busy(device)) from exc
        if number in _NO_CAMERA:
            hint = " Its driver may not have that size, rate or format." if wishes != address.Wishes() else ""
            raise InputError(
                f"{device} gives no pictures: {road.why(exc)}.{hint} Type: edgevit doctor --cameras"
            ) from exc
        raise InputError(f"The camera {device} cannot be read: {road.why(exc)}.") from exc
    return feed


def _look(device: str) -> None:
    """Find out whether the file is there and may be opened: FFmpeg's own words leave that open."""
    try:
        os.close(os.open(device, os.O_RDWR | getattr(os, "O_NONBLOCK", 0)))
    except FileNotFoundError as exc:
        there = sorted(str(path) for path in _DEV.glob("video*"))
        others = f"; there are {', '.join(there)}" if there else ", nor any other"
        raise InputError(
            f"There is no camera {device}{others}. Is it plugged in? Type: edgevit doctor --cameras"
        ) from exc
    except PermissionError as exc:
        raise InputError(
            f"The camera {device} may not be read: permission denied. Type: sudo usermod -aG video $USER, and log in "
            "again."
        ) from exc
    except OSError as exc:
        words = _busy(device) if exc.errno in _BUSY else f"The camera {device} cannot be opened: {exc.strerror}."
        raise InputError(words) from exc


def _busy(device: str) -> str:
    by_whom = holders(device)
    by = f" by {', '.join(by_whom)}" if by_whom else " by another program"
    return f"The camera {device} is busy: it is used{by}. Close that one first."


def holders(device: str) -> list[str]:
    """Name the programs that have the device open, as far as they may be looked at."""
    found = []
    for process in _PROC.glob("[0-9]*"):
        try:
            if any(os.readlink(fd) == device for fd in (process / "fd").iterdir()):  # noqa: PTH115 - text, no path
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
        except OSError:
            continue
    return sorted(found)
