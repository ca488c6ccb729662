"""Hold the facts of one device, frozen; the words that the facts may use stand here and nowhere else."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from edgevit.errors import UnsupportedError

KINDS = ("phone", "tablet", "laptop", "jetson", "board", "pc", "browser", "host")
ACCELERATORS = ("gpu", "npu", "dla", "dsp")
FORMATS = ("coreml", "litert", "executorch", "openvino", "onnx", "tensorrt")
PRECISIONS = ("fp32", "fp16", "int8")
ISA_WORDS = (
    *("armv8-a", "armv8.2-a", "armv9-a", "neon", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2", "sme"),
    *("x86-64", "sse4.2", "avx", "avx2", "fma", "f16c", "avx512", "avx512-fp16", "vnni", "amx"),
    "wasm-simd",
)
"""``vnni`` is any form of it (AVX-VNNI or AVX512-VNNI), ``amx`` is Intel's, ``fp16`` is arithmetic, not storage."""
PIXEL_FORMATS = ("nv12", "nv21", "i420", "yuv_420_888", "yuyv", "mjpeg", "bgra", "rgba", "bgr", "rgb", "gray", "bayer")
OPSETS = range(9, 26)


@dataclass(frozen=True)
class Soc:
    """Name the chip."""

    name: str
    maker: str | None = None


@dataclass(frozen=True)
class Cpu:
    """Say how many cores there are, in which clusters, and what all of them can do."""

    cores: int | None = None
    clusters: tuple[str, ...] = ()
    isa: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accelerator:
    """Name one unit beside the CPU."""

    kind: str
    name: str
    note: str | None = None


@dataclass(frozen=True)
class Prefer:
    """Say what to export when the user names only the device, and why."""

    formats: tuple[str, ...]
    precision: str
    reason: str


@dataclass(frozen=True)
class Minimum:
    """Say what a bundle for the device may count on; ``opset`` and ``deployment_target`` follow from the versions."""

    os: str | None = None
    jetpack: str | None = None
    tensorrt: str | None = None
    onnxruntime: str | None = None
    litert: str | None = None
    openvino: str | None = None
    executorch: str | None = None
    opset: int | None = None
    deployment_target: str | None = None


@dataclass(frozen=True)
class Source:
    """Say where facts come from; ``backs`` is the key ``for`` of the file."""

    title: str
    url: str
    backs: str


@dataclass(frozen=True)
class Device:
    """Hold everything that is known of one device; ``slug`` is the name that users type."""

    slug: str
    name: str
    kind: str
    prefer: Prefer
    year: int | None = None
    soc: Soc | None = None
    cpu: Cpu | None = None
    memory_gib: tuple[float, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    minimum: Minimum = field(default=Minimum())
    pixel_formats: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()

    def choose_format(self, available: Collection[str]) -> str:
        """Return the first format the device prefers among those that are available."""
        for name in self.prefer.formats:
            if name in available:
                return name
        raise UnsupportedError(
            f"{self.name} takes {', '.join(self.prefer.formats)}, and none of these is available here; "
            f"available: {', '.join(sorted(available)) or 'nothing'}. Type: edgevit doctor"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data in which an unknown fact is absent."""
        data: dict[str, Any] = _known(dataclasses.asdict(self))
        return data


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        pruned = {key: _known(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, [], {})}
    return [_known(item) for item in value] if isinstance(value, tuple | list) else value
