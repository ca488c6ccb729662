"""Say in a sentence which layer of a file a proof fails on: in Core ML's programs, and in emulated fp16.

No other format's file tells its layers apart by the names that torch gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edgevit.errors import EdgevitError
from edgevit.spec import Spec

from .agreement import Gate
from .half import MOST_PICTURES, RANGE_GATE, HalfFigures, outside_sentence
from .mil_layers import against_torch, audit
from .recipe import Traced

_COMPARED_PICTURES = 2
"""A wrong weight shows on any picture; a second one guards against a layer that was switched off by the first."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Suspect:
    """Hold a file that a proof failed on, the graph that it was made of, and the pictures of the proof."""

    format: str
    precision: str
    file: Path
    traced: Traced
    spec: Spec
    pixels: Pixels

    @property
    def opens(self) -> bool:
        """Tell whether the file can be looked into."""
        return self.format == "coreml"


def of_gates(suspect: Suspect, failed: Sequence[Gate], half: HalfFigures | None) -> tuple[str, ...]:
    """Name the layer that each failed gate points at, where it can be named."""
    names, told = {gate.name for gate in failed}, []
    if RANGE_GATE in names and half is not None:
        told.append(outside(suspect) or half.first_outside or "")
    if suspect.opens and names - {RANGE_GATE}:
        told.append(inexact(suspect))
    return tuple(sentence for sentence in told if sentence)


def outside(suspect: Suspect) -> str:
    """Name the first layer of the file that leaves the range of fp16; nothing where none does, or none can be seen."""
    if not suspect.opens or suspect.precision == "fp32":
        return ""
    name = suspect.traced.inputs[0].name
    batches = ({name: _levels(picture)} for picture in suspect.pixels[:MOST_PICTURES])
    try:
        found = audit(suspect.file, batches).overflowing
    except EdgevitError:
        return ""
    return outside_sentence(found[0].name, found[0].operation, found[0].figure) if found else ""


def inexact(suspect: Suspect) -> str:
    """Name the first layer that is further from torch's than rounding explains, or the worst one."""
    pixels, precision = suspect.pixels[:_COMPARED_PICTURES], suspect.precision
    try:
        found = against_torch(suspect.file, suspect.traced, suspect.spec, pixels, precision)
    except EdgevitError as exc:
        return f"no layer could be named: {str(exc).rstrip('.')}"
    layer = found.worst
    which = "the first layer to go wrong is" if found.jumps else "no layer alone explains it; the least exact one is"
    return f"{which} '{layer.name}' ({layer.operation}), relative error {layer.figure:.3g}"


def _levels(picture: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
