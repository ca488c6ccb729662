"""Choose what int8 and its kin mean in each format, and what it is calibrated on.

Each format's default kind was chosen by measurement (benchmarks/int8_kinds.py); the table is the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import UsageError
from edgevit.scenes import shapes
from edgevit.spec import Spec

from .pictures import PictureSet, built_in, from_folder

CALIBRATION_COUNT = 200
ENOUGH = 100


@dataclass(frozen=True)
class Kind:
    """Name a way of quantising, and whether it needs pictures to learn the ranges of activations from."""

    name: str
    calibrated: bool
    caution: str = ""
    """What a user should know of it; it stands in the notes of the proof."""


KINDS: Mapping[tuple[str, str], Kind] = {
    ("onnx", "int8"): Kind(
        "static-qdq",
        True,
        "int8 sums may saturate on x86 processors without VNNI (before 2019, and Intel Atoms before the N series)",
    ),
    ("litert", "int8"): Kind("dynamic-range", False),
    ("openvino", "int8"): Kind("static-ptq", True),
    ("coreml", "int8"): Kind("weights-per-channel", False),
    ("coreml", "w8a8"): Kind("static-ptq", True),
    ("coreml", "pal6"): Kind("64-weights-palette", False),
    ("coreml", "int4"): Kind("weights-in-blocks", False),
    ("executorch", "int8"): Kind("static-pt2e", True),
    ("tensorrt", "int8"): Kind("static-qdq-symmetric", True),
}
"""Measured on the shipped weights, 1,000 held-out renders of a grade between PLAIN and HARD (fp32: 97.6 %), one thread,
2026-11-21; python -m benchmarks.int8_kinds measures anew, on PLAIN:

* litert: dynamic range keeps 97.6 % of 97.6 %, static 97.1 %; on larger nets static int8 falls off XNNPACK and is
  slower than fp32 by 1.4 to 1.7 times.
* onnx: static u8s8 97.3 %; s8s8 has the same and takes five times as long; percentile ranges 97.4 %.
* openvino: 97.1 % with and without smoothing, which ruins small attention nets.
"""


def calibration_set(
    spec: Spec, format_name: str, precision: str, folder: str | Path | None, *, trained: bool
) -> PictureSet | None:
    """Return the pictures to calibrate on, or None where the precision needs none. Never random noise."""
    kind = KINDS.get((format_name, precision))
    if kind is None or not kind.calibrated:
        return None
    if folder is not None:
        return from_folder(folder, most=CALIBRATION_COUNT)
    if trained and spec.labels != shapes.LABELS:
        raise UsageError(
            f"{precision} for {format_name} is calibrated on pictures like those the model will see. "
            f"Type: --calib DIR, with at least {ENOUGH} pictures in it."
        )
    return built_in(spec, most=CALIBRATION_COUNT, split="calibration")


def remark(pictures: PictureSet | None) -> str | None:
    """Say so when there are too few pictures to calibrate on."""
    if pictures is None or len(pictures) >= ENOUGH:
        return None
    return f"calibrated on {len(pictures)} pictures only; {ENOUGH} or more give steadier ranges"
