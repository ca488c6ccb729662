"""Name the layer of a file that goes wrong, where a format's program can be looked into: Core ML's can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle

from .blame import Suspect, inexact
from .reference import Reference
from .trace import trace


def culprit(bundle: Bundle, model: Reference, pixels: npt.NDArray[np.uint8]) -> str:
    """Return a sentence about the first layer that is further from torch's than rounding explains, or the worst one."""
    own, sealed = model.model, bundle.manifest
    traced = trace("main", own.graphs["main"], sealed.format, batch=1, dynamic=False)
    return inexact(Suspect(sealed.format, sealed.precision, bundle.graph_file(), traced, own.spec, pixels))
