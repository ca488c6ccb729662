"""Ask the format of a bundle where its operators run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.devices import Device, load_device
from edgevit.errors import EdgevitError, EngineError, UnknownNameError, UnsupportedError, reason
from edgevit.formats import FORMATS, find_format
from edgevit.manifest import GraphFile
from edgevit.registry import Registry

from .rows import Placement, Subject, View

PLACERS = Registry(
    "format", {name: f"edgevit.exporters.placement.{name}" for name in FORMATS}, ask="edgevit placement BUNDLE"
)
"""Each module has ``look(subject) -> tuple[View, ...]``."""


def place(bundle: Bundle | str | Path, *, device: str | Device | None = None, provider: str | None = None) -> Placement:
    """Say where each operator of a bundle runs on its device, or on another one that is named.

    ``provider`` asks ONNX Runtime for one of its execution providers; the device's CPU is what edgevit itself uses.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    manifest = opened.manifest
    facts, unknown = _facts(device, manifest.device)
    files = {name: (opened.graph_file(name), graph) for name, graph in manifest.graphs.items()}
    found = place_files(
        manifest.format,
        manifest.precision,
        files,
        device=facts,
        provider=provider,
        notes=manifest.verification.get("file") or {},
    )
    return replace(found, note=unknown)


def _facts(named: str | Device | None, kept: str | None) -> tuple[Device | None, str]:
    """Return the device that is named, else the bundle's own; where nobody here knows that one, none, and say so."""
    if named is not None:
        return (load_device(named) if isinstance(named, str) else named), ""
    if kept is None:
        return None, ""
    try:
        return load_device(kept), ""
    except UnknownNameError:
        return None, (
            f"The bundle was exported for '{kept}', a device that does not ship with edgevit, and is placed without "
            f"its facts. Give its file: --device {kept}.toml"
        )


def place_files(
    format_name: str,
    precision: str,
    files: Mapping[str, tuple[Path, GraphFile]],
    *,
    device: Device | None = None,
    provider: str | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Placement:
    """Say the same of model files that are in no bundle yet: graph -> (file, its tensors)."""
    target = find_format(format_name)
    if provider is not None and target.name != "onnx":
        raise UnsupportedError(f"{target.title} bundles have no providers; only ONNX does. Leave --provider out.")
    look = PLACERS.load(target.name).look
    views: list[View] = []
    for name, (path, graph) in files.items():
        subject = Subject(path, graph, precision, device, provider, notes or {})
        views += [replace(view, graph=name) for view in _looked(look, subject)]
    return Placement(target.name, precision, device.slug if device else None, tuple(views))


def _looked(look: Callable[[Subject], tuple[View, ...]], subject: Subject) -> tuple[View, ...]:
    """Look, and translate what engines and their private doors raise."""
    try:
        return look(subject)
    except (EdgevitError, MemoryError):
        raise
    except Exception as exc:
        raise EngineError(
            f"Where the operators of {subject.path.name} run could not be told: {type(exc).__name__}: {reason(exc)}. "
            "The file itself may be well: edgevit verify BUNDLE runs it"
        ) from exc
