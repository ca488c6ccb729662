"""Choose what int8 and its kin mean in each format, and what it is calibrated on.

Where a format has a choice its default was chosen by measurement (benchmarks/int8_kinds.py); the table is the record.
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
"""Where a format has several kinds the choice was measured: shipped weights, 2,000 held-out renders (fp32: 98.60 %),
time as a share of fp32's on one thread, in turns, AMD EPYC, 2026-11-21, python -m benchmarks.int8_kinds:

* litert: dynamic range of the large layers 98.55 %, 0.78; of all layers 98.60 %, 1.32; static 98.40 %, 1.19.
* onnx: static u8s8 98.70 %, 1.23; s8s8 the same at 2.49; percentile ranges 98.50 %, 1.08.
* openvino: static 98.60 %, 1.23; smoothing has the same at 1.05 and ruins small attention nets.

Core ML's, ExecuTorch's and TensorRT's are what their devices run; there was nothing to choose from.
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
