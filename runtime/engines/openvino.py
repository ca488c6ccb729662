"""Run OpenVINO IR on the CPU. It computes in exact f32 unless another precision is chosen.

OpenVINO's own default is the fastest precision of the machine, bf16 on recent servers and f16 on Arm, which moves a
net's outputs by percents. So the precision is always stated here, and shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevit.errors import BundleError, EngineError, missing, reason
from edgevit.manifest import GraphFile
from edgevit.privacy import forbid_telemetry

from . import EngineOptions, Tensor, Tensors

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def load(path: Path, graph: GraphFile, options: EngineOptions) -> OpenvinoEngine:
    """Open an IR file (the ``.bin`` lies beside it)."""
    forbid_telemetry()
    try:
        import openvino as ov
    except ImportError as exc:
        raise missing("openvino", "Running an OpenVINO bundle", "openvino") from exc
    hint = options.precision_among("OpenVINO", _HINTS)
    options.check_version("OpenVINO", ov.__version__.split("-")[0], "openvino")
    _check_is_xml(path)
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": str(options.thread_count),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = ov.Core()
        compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)
    except Exception as exc:
        raise EngineError(f"OpenVINO {ov.__version__} cannot open {path.name}: {reason(exc)}") from exc
    version = ov.__version__.split("-")[0]
    text = f"OpenVINO {version}, CPU, {options.precision}, {options.threads_text()}"
    return OpenvinoEngine(compiled, graph, text)


def _check_is_xml(path: Path) -> None:
    """Refuse what is no IR: OpenVINO goes by content, and would read an ONNX file of this name past every guard."""
    try:
        with path.open("rb") as stream:
            begun = stream.read(64)
    except OSError as exc:
        raise EngineError(f"{path.name} cannot be read ({exc.strerror or exc}). Copy the bundle again.") from exc
    if not begun.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise BundleError(f"{path.name} is not OpenVINO IR: it does not begin as XML does. Export the model again.")


class OpenvinoEngine:
    """Hold one compiled model and its request."""

    def __init__(self, compiled: Any, graph: GraphFile, description: str) -> None:
        self._request = compiled.create_infer_request()
        self._names = [t.name for t in graph.outputs]
        self.description = description

    @property
    def compiled(self) -> Any:
        """Return the compiled model itself, for who looks what its layers became."""
        return self._request.get_compiled_model()

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._request is None:
            raise EngineError("This OpenVINO model was closed; load the bundle again.")
        try:
            self._request.infer(dict(inputs), share_inputs=True)
            # The request owns its output buffers and fills them again next time: hand out copies.
            return {name: self._request.get_tensor(name).data.copy() for name in self._names}
        except Exception as exc:
            raise EngineError(f"OpenVINO could not run the model: {reason(exc)}") from exc

    def close(self) -> None:
        self._request = None
