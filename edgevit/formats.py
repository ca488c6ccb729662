"""List the formats once: spelling, files, engine, pip extra. Exporters and runtime both read this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from .errors import UnsupportedError
from .registry import unknown_name

Precision = Literal["fp32", "fp16", "int8", "w8a8", "pal6", "int4"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
"""``int8`` is each format's own best kind of 8 bits. The rest are Core ML's: ``w8a8`` has 8-bit activations too,
``pal6`` keeps each weight as one of 64 values, ``int4`` has 4-bit weights in blocks."""

_VARIES = True
_EVERYWHERE = ("fp32", "fp16", "int8")


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
    dynamic_batch: bool = False
    opset: bool = False
    precisions: tuple[str, ...] = _EVERYWHERE
    """The first is what a user gets who names none."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Other words for a precision, where the format's own world has them."""
    backends: tuple[str, ...] = ()
    """The delegates that files can be made for, the default first."""


_COREML_PRECISIONS = ("fp16", "fp32", *PRECISIONS[2:])
_COREML_ALIASES = ("mlpackage", "mlprogram", "ios")

FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format("onnx", "ONNX", ".onnx", ("ort", "onnxruntime"), "onnx", "onnxruntime", "1.16", "onnx", _VARIES, True),
        Format("litert", "LiteRT", ".tflite", ("tflite", "lite"), "litert", "ai-edge-litert", "1.2", "litert"),
        Format("openvino", "OpenVINO IR", ".xml", ("ov", "ir"), "openvino", "openvino", "2024.6", "openvino", _VARIES),
        Format("coreml", "Core ML", ".mlpackage", _COREML_ALIASES, "coreml", "coremltools", "8.0", "coreml",
               precisions=_COREML_PRECISIONS, spellings={"w8a16": "int8"}),
        Format("executorch", "ExecuTorch", ".pte", ("et", "pte"), "executorch", "executorch", "1.0", "executorch",
               backends=("xnnpack", "coreml", "vulkan")),
        Format("tensorrt", "TensorRT", ".onnx", ("trt",), "tensorrt", "tensorrt", "8.2", "tensorrt", _VARIES, True),
    )
}  # fmt: skip

FP32_NODE = "fp32/"
"""How the names of the nodes begin that keep float32 in a TensorRT file of fp16: its builder may know nothing else."""
STRONGLY_TYPED_SINCE = "10.0"
"""From this TensorRT on a network keeps the types that stand in its file; before, they are no more than wishes."""

_SPELLINGS = {alias: f.name for f in FORMATS.values() for alias in (f.name, *f.aliases)}


def find_format(name: str) -> Format:
    """Return the format that a name or an alias means."""
    spelled = name.strip().lower().lstrip(".")
    if spelled not in _SPELLINGS:
        raise unknown_name("format", name, _SPELLINGS, ask=f"edgevit export MODEL --format {'|'.join(FORMATS)}")
    return FORMATS[_SPELLINGS[spelled]]


def check_precision(target: Format, precision: str) -> str:
    """Return the precision if the format has it, else say which ones it has."""
    precision = target.spellings.get(precision, precision)
    if precision not in target.precisions:
        raise UnsupportedError(
            f"{target.title} has no precision '{precision}' here; it has {', '.join(target.precisions)}. "
            f"Type: --precision {target.precisions[0]}"
        )
    return precision


def check_backend(target: Format, backend: str | None) -> str | None:
    """Return the delegate if files of the format can be made for it, else say which ones there are."""
    if backend is None or backend in target.backends:
        return backend
    if not target.backends:
        having = ", ".join(f.name for f in FORMATS.values() if f.backends)
        raise UnsupportedError(f"{target.title} has no delegates to choose from; {having} has. Leave --backend out.")
    raise unknown_name("backend", backend, target.backends, ask=f"--backend {'|'.join(target.backends)}")


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
