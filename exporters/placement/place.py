"""Ask the format of a bundle where its operators run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.devices import Device, load_device
from edgevit.errors import UnsupportedError
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
    wanted = device if device is not None else manifest.device
    files = {name: (opened.graph_file(name), graph) for name, graph in manifest.graphs.items()}
    return place_files(
        manifest.format,
        manifest.precision,
        files,
        device=load_device(wanted) if isinstance(wanted, str) else wanted,
        provider=provider,
        notes=manifest.verification.get("file") or {},
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
        views += [replace(view, graph=name) for view in look(subject)]
    return Placement(target.name, precision, device.slug if device else None, tuple(views))
