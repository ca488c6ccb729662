"""Make the evidence that is stored in a bundle: the golden sample and the torch reference. numpy only.

* ``golden.npz``: ``picture`` (H, W, 3) RGB, ``input`` (the tensor made of it), ``output`` (the file's answer).
* ``reference.npz``: ``pixels`` (N, h, w, 3), after resize and crop, and ``outputs`` (N, classes) of the model in torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle
from edgevit.errors import BundleError

GOLDEN_FILE = "golden.npz"
REFERENCE_FILE = "reference.npz"
REFERENCE_COUNT = 8
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.15}
"""How far another machine's engine may be from the golden output, relative: other kernels add up in another order."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


def write_golden(folder: Path, picture: Pixels, tensor: Tensor, output: Tensor, precision: str) -> dict[str, Any]:
    """Write the golden sample and return what the manifest says of it."""
    np.savez_compressed(folder / GOLDEN_FILE, picture=picture, input=tensor, output=output)
    return {"file": GOLDEN_FILE, "color": "rgb", "relative_tolerance": TOLERANCE[precision]}


def write_reference(folder: Path, pixels: Pixels, outputs: Tensor, noise_relative: float) -> dict[str, Any]:
    """Write the torch reference and return what the manifest says of it."""
    kept = slice(0, REFERENCE_COUNT)
    np.savez_compressed(folder / REFERENCE_FILE, pixels=pixels[kept], outputs=outputs[kept])
    return {"file": REFERENCE_FILE, "count": len(pixels[kept]), "noise_relative": float(f"{noise_relative:.6g}")}


def read_arrays(bundle: Bundle, which: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Read the named arrays of ``golden`` or ``reference``; nothing is ever unpickled."""
    path = bundle.file(getattr(bundle.manifest, which)["file"])
    try:
        with np.load(path, allow_pickle=False) as stored:
            return tuple(stored[name] for name in names)
    except (OSError, ValueError, KeyError, EOFError) as exc:
        raise BundleError(f"{path}: the {which} sample cannot be read ({exc}). Export the model again.") from exc
