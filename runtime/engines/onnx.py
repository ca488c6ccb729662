"""Run ONNX files with ONNX Runtime on the CPU, after a look for what a model file must not bring along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevit.errors import EngineError, missing, reason
from edgevit.manifest import GraphFile

from . import EngineOptions, Tensor, Tensors
from .onnx_guard import check_onnx

_SILENT = 4


def load(path: Path, graph: GraphFile, options: EngineOptions) -> OnnxEngine:
    """Open an ONNX file. Weights outside the bundle and foreign operators are refused before the engine sees it."""
    try:
        import onnxruntime as ort
    except ImportError as exc:
        raise missing("onnxruntime", "Running an ONNX bundle", "onnx") from exc
    options.precision_among("ONNX Runtime", {"fp32": "fp32"})
    options.check_version("ONNX Runtime", ort.__version__, "onnx")
    check_onnx(path, options.files)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.thread_count
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _SILENT
    # Idle workers must sleep: spinning ones take the cores that cameras, decoders and other engines need.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise EngineError(f"ONNX Runtime {ort.__version__} cannot open {path.name}: {reason(exc)}") from exc
    text = f"ONNX Runtime {ort.__version__}, CPU, fp32, {options.threads_text()}"
    return OnnxEngine(session, graph, text)


class OnnxEngine:
    """Hold one ONNX Runtime session."""

    def __init__(self, session: Any, graph: GraphFile, description: str) -> None:
        self._session = session
        self._names = [t.name for t in graph.outputs]
        self.description = description

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._session is None:
            raise EngineError("This ONNX Runtime session was closed; load the bundle again.")
        try:
            values = self._session.run(self._names, dict(inputs))
        except Exception as exc:
            raise EngineError(f"ONNX Runtime could not run the model: {reason(exc)}") from exc
        return dict(zip(self._names, values, strict=True))

    def close(self) -> None:
        self._session = None
