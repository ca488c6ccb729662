"""Decide what is exported: format, precision and opset, from what the caller said and what the device is."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.devices import Device, load_device
from edgevit.errors import UnsupportedError, UsageError
from edgevit.formats import FORMATS, Format, check_precision, find_format

from .onnx import OPSETS


@dataclass(frozen=True)
class Target:
    """Hold what was chosen: format, precision, opset, and the device that chose where the caller did not."""

    format: Format
    precision: str
    opset: int | None
    device: Device | None


def choose_target(format: str | None, device: str | Device | None, precision: str | None, opset: int | None) -> Target:
    """Decide on format and precision from what the caller said and, for the rest, from the device."""
    if format is None and device is None:
        raise UsageError(
            f"Say where the model should run: --format {'|'.join(FORMATS)}, or --device NAME (see edgevit devices)."
        )
    facts = load_device(device) if isinstance(device, str) else device
    if format is not None:
        target = find_format(format)
    else:
        assert facts is not None
        target = find_format(facts.choose_format(FORMATS))
    chosen = precision or (facts.prefer.precision if facts else target.precisions[0])
    if target.opset and opset is None and facts is not None:
        opset = facts.minimum.opset
    return Target(target, check_precision(target, chosen), opset, facts)


def default_out(name: str, target: Target, backend: str | None = None) -> str:
    """Return ``<model>-<format>-<precision>[-<backend>][-<device>]``; a format's own default is not said."""
    parts = [name.replace("/", "_"), target.format.name, target.precision]
    parts += [backend] if backend and backend != target.format.backends[0] else []
    return "-".join([*parts, *([target.device.slug] if target.device else [])])


def check_shape_options(target: Format, batch: int, dynamic: bool, opset: int | None) -> None:
    """Refuse shapes that make no sense or that the format cannot hold."""
    if not 1 <= batch <= 1024:
        raise UsageError(f"--batch must be from 1 to 1024, not {batch}.")
    having = [f.name for f in FORMATS.values() if f.dynamic_batch]
    if dynamic and not target.dynamic_batch:
        raise UnsupportedError(f"{target.title} has no dynamic batch here; {', '.join(having)} have. Type: --batch N")
    if dynamic and batch != 1:
        raise UsageError("--dynamic lets the batch vary, so --batch has nothing to say. Leave one of them out.")
    if opset is not None and target.opset and not OPSETS[0] <= opset <= OPSETS[1]:
        raise UnsupportedError(f"opset must be from {OPSETS[0]} to {OPSETS[1]}, not {opset}. Leave --opset out.")
    if opset is not None and not target.opset:
        raise UnsupportedError(f"{target.title} has no opset; only ONNX has. Leave --opset out.")
