"""List the cameras of this machine: what they are called, what pictures they give, and whether they can be read now.

On Linux the kernel is asked (sysfs and four of V4L2's questions), which disturbs nobody who is using the camera. On
macOS and Windows PyAV knows their names and no more.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .camera import holders
from .v4l2 import Format, capabilities, formats

_DEV = Path("/dev")
_SYS = Path("/sys/class/video4linux")
_LISTS = {"darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True)
class Camera:
    """Describe one. ``state`` is ready, busy, missing, not allowed or the driver's own words; ``advice`` what to do."""

    device: str
    name: str
    state: str
    advice: str = ""
    driver: str = ""
    bus: str = ""
    formats: tuple[Format, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data in which what is not known is absent."""
        told = {key: value for key, value in asdict(self).items() if value not in ("", ())}
        return {**told, "formats": [one.to_dict() for one in self.formats]} if self.formats else told


def cameras() -> tuple[Camera, ...]:
    """Return all that are known here, in the order of their numbers."""
    if sys.platform == "linux":
        nodes = sorted(_SYS.glob("video*"), key=lambda node: int(re.sub(r"\D", "", node.name) or 0))
        return tuple(found for node in nodes if (found := _look_at(node)) is not None)
    return _named_by_pyav()


def _look_at(node: Path) -> Camera | None:
    """Look at one node; None for those that give no pictures: metadata, outputs, codecs."""
    device = str(_DEV / node.name)
    name = _words(node / "name") or node.name
    try:
        file = os.open(device, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        return Camera(device, name, *_why_closed(exc, device))
    try:
        told = capabilities(file)
        if told is None:
            return None
        state, advice = "ready", ""
        if by := holders(device):
            state, advice = "busy", f"It is used by {', '.join(by)}. Close that one first."
        return Camera(device, told.card or name, state, advice, told.driver, told.bus, formats(file, told))
    except OSError as exc:
        return Camera(device, name, exc.strerror or "no answer", "Pull it out and put it in again.")
    finally:
        os.close(file)


def _why_closed(exc: OSError, device: str) -> tuple[str, str]:
    if isinstance(exc, FileNotFoundError):
        return "missing", f"The kernel has it, and {device} is not there. In a container: --device {device}"
    if isinstance(exc, PermissionError):
        return "not allowed", "Type: sudo usermod -aG video $USER, and log in again."
    if exc.errno == errno.EBUSY:
        by = holders(device)
        return "busy", f"It is used by {', '.join(by) if by else 'another program'}. Close that one first."
    if exc.errno in (errno.ENODEV, errno.ENXIO):
        return "missing", "It was pulled out. Is its cable in?"
    return exc.strerror or "cannot be opened", ""


def _words(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _named_by_pyav() -> tuple[Camera, ...]:
    try:
        from av.device import enumerate_input_devices
    except ImportError:
        return ()
    try:
        found = enumerate_input_devices(_LISTS.get(sys.platform, ""))
    except (OSError, ValueError):
        return ()
    seen = [one for one in found if "video" in one.media_types and not one.description.startswith("Capture screen")]
    return tuple(Camera(one.name, one.description, "known") for one in seen)
