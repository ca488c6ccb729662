"""Run TFLite files with LiteRT (``ai-edge-litert``), else with the older ``tflite-runtime`` where that is all there is.

``tflite-runtime`` computes dynamic-range int8 models silently wrong (measured on four nets: cosine 0.06 and NaN where
LiteRT has 0.97), so there such a file is refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EngineError, UnsupportedError, missing, reason
from edgevit.manifest import GraphFile

from . import EngineOptions, Tensor, Tensors

_WEIGHTED_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV")


def load(path: Path, graph: GraphFile, options: EngineOptions) -> LitertEngine:
    """Open a TFLite file."""
    interpreter_class, package = _interpreter()
    options.precision_among("LiteRT", {"fp32": "fp32"})
    release = _release(package)
    if package == "ai-edge-litert":  # tflite-runtime counts otherwise; what it cannot run, it cannot open
        options.check_version("LiteRT", release, "litert")
    try:
        with _hushed():
            interpreter = interpreter_class(model_path=str(path), num_threads=options.thread_count)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as exc:
        raise EngineError(f"{package} cannot open {path.name}: {reason(exc)}") from exc
    if package == "tflite-runtime" and _is_dynamic_range(interpreter):
        raise UnsupportedError(
            f"{path.name} is a dynamic-range int8 model, which tflite-runtime computes wrong without saying so. "
            "Type: pip install 'edgevit[litert]', or export fp32 or fp16 for this device."
        )
    name = "LiteRT" if package == "ai-edge-litert" else "tflite-runtime"
    return LitertEngine(interpreter, graph, f"{name} {release}, CPU (XNNPACK), fp32, {options.threads_text()}")


def _release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep LiteRT's greeting ("INFO: Created TensorFlow Lite XNNPACK delegate") off stderr: it has no switch."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a process without stderr has nothing to keep clean
            saved = os.dup(2)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, 2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        yield


def _interpreter() -> tuple[Any, str]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as first:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise missing("ai-edge-litert", "Running a LiteRT bundle", "litert") from first
        return Interpreter, "tflite-runtime"
    return Interpreter, "ai-edge-litert"


def _is_dynamic_range(interpreter: Any) -> bool:
    """Tell whether an operator takes float activations and int8 weights."""
    kinds = {t["index"]: t["dtype"] for t in interpreter.get_tensor_details()}
    return any(
        op["op_name"] in _WEIGHTED_OPS
        and len(op["inputs"]) > 1
        and kinds.get(op["inputs"][0]) is np.float32
        and kinds.get(op["inputs"][1]) is np.int8
        for op in interpreter._get_ops_details()  # the one door to the operators in tflite-runtime's last release
    )


class LitertEngine:
    """Hold one interpreter and its signature."""

    def __init__(self, interpreter: Any, graph: GraphFile, description: str) -> None:
        self._interpreter = interpreter
        self._graph = graph
        self.description = description
        self._inputs = _details(interpreter.get_input_details(), [t.name for t in graph.inputs])
        self._outputs = _details(interpreter.get_output_details(), [t.name for t in graph.outputs])

    @property
    def interpreter(self) -> Any:
        """Return the interpreter itself, for who looks where its operators run."""
        return self._interpreter

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._interpreter is None:
            raise EngineError("This LiteRT interpreter was closed; load the bundle again.")
        try:
            for name, detail in self._inputs.items():
                self._interpreter.set_tensor(detail["index"], _to_file(inputs[name], detail))
            self._interpreter.invoke()
            return {
                name: _from_file(self._interpreter.get_tensor(detail["index"]), detail)
                for name, detail in self._outputs.items()
            }
        except (ValueError, RuntimeError) as exc:
            raise EngineError(f"LiteRT could not run the model: {reason(exc)}") from exc

    def close(self) -> None:
        self._interpreter = None


def _details(details: list[dict[str, Any]], names: list[str]) -> Mapping[str, dict[str, Any]]:
    """Match the file's tensors with the manifest's, by their place."""
    if len(details) != len(names):
        raise EngineError(f"The file has {len(details)} tensors where the bundle promises {len(names)}.")
    return dict(zip(names, details, strict=True))


def _to_file(value: Tensor, detail: Mapping[str, Any]) -> Tensor:
    """Quantise an input that the file wants quantised. A scale of 0 says that its whole numbers are levels."""
    scale, zero = detail["quantization"]
    if not np.issubdtype(detail["dtype"], np.integer) or scale == 0:
        return value
    limits = np.iinfo(detail["dtype"])
    levels: Tensor = np.clip(np.rint(value / scale) + zero, limits.min, limits.max).astype(detail["dtype"])
    return levels


def _from_file(value: Tensor, detail: Mapping[str, Any]) -> Tensor:
    scale, zero = detail["quantization"]
    if not np.issubdtype(detail["dtype"], np.integer) or scale == 0:
        return value
    numbers: Tensor = ((value.astype(np.float32) - zero) * scale).astype(np.float32)
    return numbers
