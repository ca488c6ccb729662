"""Choose what reads live pictures: PyAV, or OpenCV where there is no PyAV."""

from __future__ import annotations

import importlib
from typing import Any

from edgevit.errors import missing

_ROADS = ("edgevit.runtime.sources.live_av", "edgevit.runtime.sources.live_cv")


def live_road(purpose: str) -> Any:
    """Return the first road whose library is installed.

    A road has ``open_stream(uri, name, wishes)``, ``open_camera(device, driver, wishes)``, ``open_reel(uri, name)`` for
    what turns out to have an end, and of its errors ``errors()``, ``kind_of(exc)`` and ``why(exc)``.
    """
    for road in _ROADS:
        try:
            return importlib.import_module(road)
        except ImportError:
            continue
    raise missing("av", purpose, "camera")
