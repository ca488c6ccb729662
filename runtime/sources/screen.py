"""Read what is on the screen: ``screen://`` or ``screen://:1?size=640x480&fps=15`` (X11; on macOS the first screen)."""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial

from edgevit.errors import EnvironmentFault, InputError, missing

from . import address
from .live import Feed, Live
from .protocol import OnError, Source


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open the screen."""
    typed, wishes = address.split(place, address.DEVICE, strict=True)
    name = typed.removeprefix("screen://")
    return Live(f"screen://{name}", partial(opened, name, wishes), retries=wishes.retries)


def opened(name: str, wishes: address.Wishes) -> Feed:
    """Open the screen once."""
    driver = "avfoundation" if sys.platform == "darwin" else "x11grab"
    display = name or ("Capture screen 0" if driver == "avfoundation" else os.environ.get("DISPLAY", ""))
    if not display:
        wayland = (
            " Wayland lets no program read the screen; log in with Xorg." if "WAYLAND_DISPLAY" in os.environ else ""
        )
        raise EnvironmentFault(f"There is no screen here: DISPLAY is not set.{wayland} Type: screen://:0")
    try:
        road = importlib.import_module("edgevit.runtime.sources.live_av")
    except ImportError as exc:
        raise missing("av", "Reading the screen", "camera") from exc
    try:
        feed: Feed = road.open_feed(
            display,
            f"screen://{name}",
            timeout_s=wishes.timeout_s,
            options=road.options_of(wishes, driver),
            device=driver,
        )
    except road.errors() as exc:
        raise InputError(f"The screen {display} cannot be read: {road.why(exc)}. Expected one such as :0.") from exc
    return feed
