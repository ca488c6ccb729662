"""Turn a model into a bundle, at the workstation. One format a file; one recipe (base.py) for all.

Torch is loaded by ``export``, not by this import: ``verify`` works on a device too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgevit.formats import FORMATS
from edgevit.registry import Registry, door

if TYPE_CHECKING:
    from .base import export as export

EXPORTERS = Registry(
    "format",
    {name: f"edgevit.exporters.{name}" for name in FORMATS},
    ask="edgevit export MODEL --format onnx",
)


def __getattr__(name: str) -> Any:
    if name == "export":
        return door("edgevit.exporters.base:export")
    raise AttributeError(f"module 'edgevit.exporters' has no attribute '{name}'")
