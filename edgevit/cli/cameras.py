"""Show the cameras of this machine: the part of ``edgevit doctor`` that is about them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..registry import door
from . import console

if TYPE_CHECKING:
    from edgevit.runtime.sources.listing import Camera

_NONE = "No camera was found. Is it plugged in? In a container it has to be handed over: --device /dev/video0"
_BY_NAME = "Their formats and rates are not known here; PyAV lists the names alone."


def show(*, machine: bool) -> int:
    """Print them. None is an answer too."""
    found: tuple[Camera, ...] = door("edgevit.runtime.sources.listing:cameras")()
    if machine:
        console.answer({"cameras": [camera.to_dict() for camera in found]})
        return 0
    if not found:
        console.say(_NONE)
        return 0
    for camera in found:
        about = " ".join(filter(None, (camera.driver and f"driver {camera.driver},", camera.bus))).rstrip(",")
        console.say(f"{camera.device}  {camera.name}: {camera.state}{f' ({about})' if about else ''}")
        if camera.advice:
            console.say(f"  {camera.advice}")
        for kind in camera.formats:
            console.say(f"  {kind.name:<8} {', '.join(map(str, kind.sizes)) or 'sizes not told'}")
    if sys.platform != "linux":
        console.say(_BY_NAME)
    ready = next((camera for camera in found if camera.state in ("ready", "known")), None)
    if ready is not None:
        console.say(f"\nType: edgevit run shvit_shapes {ready.device}")
    return 0
