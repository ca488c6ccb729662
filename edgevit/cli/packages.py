"""List the packages that edgevit can use: what each is for, and which extra brings it. Nothing here is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass

from ..errors import MissingDependencyError, missing
from ..formats import FORMATS
from ..formats import older as older


@dataclass(frozen=True)
class Package:
    """Name one package: the module that is imported, the distributions that may bring it, its purpose and extra."""

    module: str
    distributions: tuple[str, ...]
    purpose: str
    extra: str
    minimum: str = ""

    @property
    def name(self) -> str:
        """The name that a person installs."""
        return self.distributions[0]


def _engine(module: str, distributions: tuple[str, ...], format_name: str) -> Package:
    target = FORMATS[format_name]
    return Package(module, distributions, f"run {target.title} bundles", target.extra, target.engine_minimum)


PACKAGES: tuple[Package, ...] = (
    _engine("onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "onnx"),
    _engine("ai_edge_litert", ("ai-edge-litert",), "litert"),
    Package("tflite_runtime", ("tflite-runtime",), "run LiteRT bundles where ai-edge-litert has no build", "litert"),
    _engine("openvino", ("openvino",), "openvino"),
    _engine("executorch", ("executorch",), "executorch"),
    _engine("tensorrt", ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"), "tensorrt"),
    _engine("coremltools", ("coremltools",), "coreml"),
    Package("PIL", ("pillow",), "read and write pictures", "image"),
    Package("av", ("av",), "read and write videos", "camera"),
    Package(
        "cv2",
        ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
        "read videos and pictures where PyAV or Pillow are absent",
        "",
    ),
    Package("uvicorn", ("uvicorn",), "serve over HTTP", "serve"),
    Package("starlette", ("starlette",), "serve over HTTP", "serve"),
    Package("websockets", ("websockets",), "serve a live page", "serve"),
    Package("prometheus_client", ("prometheus-client",), "tell figures to Prometheus", "serve"),
    Package("rich", ("rich",), "show tables and progress on a terminal", "models"),
    Package("torch", ("torch",), "define models", "models"),
    Package("torchvision", ("torchvision",), "define models (timm needs it)", "models"),
    Package("timm", ("timm",), "define models", "models"),
    Package("safetensors", ("safetensors",), "read weights", "models"),
    Package("huggingface_hub", ("huggingface_hub",), "fetch weights from the hub", "models"),
    Package("onnx", ("onnx",), "export to ONNX", "export"),
    Package("onnxscript", ("onnxscript",), "export to ONNX", "export"),
    Package("litert_torch", ("litert-torch",), "export to LiteRT", "export"),
    Package("ai_edge_quantizer", ("ai-edge-quantizer",), "export to LiteRT int8", "export"),
    Package("nncf", ("nncf",), "export to OpenVINO int8", "export"),
    Package("sklearn", ("scikit-learn",), "export to Core ML in 6-bit palettes", "export"),
    Package("torchao", ("torchao",), "export to ExecuTorch int8", "export"),
    Package("supervision", ("supervision",), "hand results to supervision", "all"),
)

OPTIONAL = ("tflite_runtime", "cv2", "tensorrt")
"""Stand-ins for other packages: their absence is no lack."""


def version_of(package: Package) -> str | None:
    """Return the installed version, ``?`` for a package of the system without one, None if it is not there."""
    for distribution in package.distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?" if importlib.util.find_spec(package.module) is not None else None


def lacking(fault: ModuleNotFoundError, verb: str) -> MissingDependencyError | None:
    """Translate a failed import of a known package into the sentence with its pip line."""
    root = (fault.name or "").partition(".")[0]
    package = next((p for p in PACKAGES if p.module == root), None)
    return missing(package.name, f"edgevit {verb}", package.extra) if package else None
