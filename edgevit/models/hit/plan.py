"""Build a HiT by its name."""

from __future__ import annotations

from .nano import HitNano
from .net import HiT
from .sizes import SIZES


def build(name: str) -> HiT:
    """Build a HiT with fresh weights, in training mode."""
    size = SIZES[name]
    return HitNano(size) if size.features else HiT(size)
