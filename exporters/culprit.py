"""Name the layer of a file that goes wrong, where a format's program can be looked into: Core ML's can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle
from edgevit.errors import EdgevitError

from .mil_layers import against_torch
from .reference import Reference
from .trace import trace

_PICTURES = 2
"""A wrong weight shows on any picture; a second one guards against a layer that was switched off by the first."""


def culprit(bundle: Bundle, model: Reference, pixels: npt.NDArray[np.uint8]) -> str:
    """Return a sentence about the first layer that is further from torch's than rounding explains, or the worst one."""
    own = model.model
    traced = trace("main", own.graphs["main"], bundle.manifest.format, batch=1, dynamic=False)
    try:
        found = against_torch(bundle.graph_file(), traced, own.spec, pixels[:_PICTURES], bundle.manifest.precision)
    except EdgevitError as exc:
        return f"no layer could be named: {str(exc).rstrip('.')}"
    layer = found.worst
    which = "the first layer to go wrong is" if found.jumps else "no layer alone explains it; the least exact one is"
    return f"{which} '{layer.name}' ({layer.operation}), relative error {layer.figure:.3g}"
