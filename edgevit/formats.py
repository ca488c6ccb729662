"""List the formats once: spelling, files, engine, pip extra. Exporters and runtime both read this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import UnsupportedError
from .registry import unknown_name

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Format:
    """Say what one format is called, what it is made of, and what runs it.

    ``engine_minimum`` is the oldest engine that the exporters' files were made for; it goes into the manifest.
    """

    name: str
    title: str
    suffix: str
    aliases: tuple[str, ...]
    engine: str
    engine_package: str
    engine_minimum: str
    extra: str
    dynamic_batch: bool
    opset: bool
    precisions: tuple[str, ...] = PRECISIONS


FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format("onnx", "ONNX", ".onnx", ("ort", "onnxruntime"), "onnx", "onnxruntime", "1.16", "onnx", True, True),
        Format(
            "litert", "LiteRT", ".tflite", ("tflite", "lite"), "litert", "ai-edge-litert", "1.2", "litert", False, False
        ),
        Format(
            "openvino", "OpenVINO IR", ".xml", ("ov", "ir"), "openvino", "openvino", "2024.6", "openvino", True, False
        ),
    )
}

_SPELLINGS = {alias: f.name for f in FORMATS.values() for alias in (f.name, *f.aliases)}


def find_format(name: str) -> Format:
    """Return the format that a name or an alias means."""
    spelled = name.strip().lower().lstrip(".")
    if spelled not in _SPELLINGS:
        raise unknown_name("format", name, _SPELLINGS, ask=f"edgevit export MODEL --format {'|'.join(FORMATS)}")
    return FORMATS[_SPELLINGS[spelled]]


def check_precision(target: Format, precision: str) -> str:
    """Return the precision if the format has it, else say which ones it has."""
    if precision not in target.precisions:
        raise UnsupportedError(
            f"{target.title} has no precision '{precision}' here; it has {', '.join(target.precisions)}. "
            f"Type: --precision {target.precisions[0]}"
        )
    return precision


def older(version: str, minimum: str) -> bool:
    """Tell whether a version is older than the minimum; words in a version (``rc1``) do not count."""
    return _numbers(version) < _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
