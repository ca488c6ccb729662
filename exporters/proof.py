"""Write the evidence that is stored in a bundle: the golden sample and the torch reference. numpy only.

* ``golden.npz``: ``picture`` (H, W, 3) RGB, ``input`` (the tensor made of it), ``output`` (the file's answer).
* ``reference.npz``: ``pixels`` (N, h, w, 3), after resize and crop, ``outputs`` (N, classes) of the model in torch, and
  ``answers`` (N, classes) of the file at its export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.samples import read_arrays as read_arrays

GOLDEN_FILE = "golden.npz"
REFERENCE_FILE = "reference.npz"
REFERENCE_COUNT = 8
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.15, "w8a8": 0.15, "pal6": 2e-2, "int4": 2e-2}
"""How far another machine's engine may be from the golden output, relative: other kernels add up in another order."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


def write_golden(
    folder: Path, picture: Pixels, tensor: npt.NDArray[Any], output: Tensor, precision: str
) -> dict[str, Any]:
    """Write the golden sample and return what the manifest says of it."""
    np.savez_compressed(folder / GOLDEN_FILE, picture=picture, input=tensor, output=output)
    return {"file": GOLDEN_FILE, "color": "rgb", "relative_tolerance": TOLERANCE[precision]}


def write_reference(
    folder: Path, pixels: Pixels, outputs: Tensor, answers: Tensor, noise_relative: float
) -> dict[str, Any]:
    """Write the torch reference and return what the manifest says of it."""
    kept = slice(0, REFERENCE_COUNT)
    np.savez_compressed(folder / REFERENCE_FILE, pixels=pixels[kept], outputs=outputs[kept], answers=answers[kept])
    return {"file": REFERENCE_FILE, "count": len(pixels[kept]), "noise_relative": float(f"{noise_relative:.6g}")}
