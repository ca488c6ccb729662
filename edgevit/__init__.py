"""Define a vision model once, run it on every edge device, and know that it is right there.

This is the face. Importing it loads no torch, no engine, not even numpy: each name opens its room on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import EdgevitError as EdgevitError
from .errors import missing as _missing
from .registry import door as _door
from .registry import list_models as list_models

if TYPE_CHECKING:
    from edgevit.devices import Device as Device
    from edgevit.devices import list_devices as list_devices
    from edgevit.exporters import export as export
    from edgevit.exporters.verify import verify as verify
    from edgevit.runtime import Session as Session
    from edgevit.runtime import Track as Track
    from edgevit.runtime import Tracks as Tracks
    from edgevit.runtime import TrackSession as TrackSession
    from edgevit.runtime import load as load
    from edgevit.runtime.frame import Frame as Frame

    from .bundle import Bundle as Bundle
    from .bundle import open_bundle as open_bundle
    from .models import ModelDef as ModelDef
    from .models import create_model as create_model
    from .spec import ImageSpec as ImageSpec
    from .spec import Spec as Spec

__version__ = "0.1.0"

_DOORS = {
    "Bundle": "edgevit.bundle:Bundle",
    "Device": "edgevit.devices:Device",
    "Frame": "edgevit.runtime.frame:Frame",
    "ImageSpec": "edgevit.spec:ImageSpec",
    "ModelDef": "edgevit.models:ModelDef",
    "Session": "edgevit.runtime:Session",
    "Spec": "edgevit.spec:Spec",
    "Track": "edgevit.runtime:Track",
    "TrackSession": "edgevit.runtime:TrackSession",
    "Tracks": "edgevit.runtime:Tracks",
    "create_model": "edgevit.models:create_model",
    "export": "edgevit.exporters:export",
    "list_devices": "edgevit.devices:list_devices",
    "load": "edgevit.runtime:load",
    "open_bundle": "edgevit.bundle:open_bundle",
    "verify": "edgevit.exporters.verify:verify",
}

_EXTRAS = {"ModelDef": "models", "create_model": "models", "export": "export"}
"""The doors that need more than the base install; engines say for themselves what they lack."""

__all__ = ["EdgevitError", "list_models", *_DOORS]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'edgevit' has no attribute '{name}'; it has {', '.join(sorted(__all__))}")
    try:
        value = _door(_DOORS[name])
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if name not in _EXTRAS or package in ("", __name__):
            raise
        raise _missing(package, f"edgevit.{name}", _EXTRAS[name]) from exc
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOORS])
