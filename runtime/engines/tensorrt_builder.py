"""Go through TensorRT's own steps for one ONNX file: parse, configure, build, and tell how far it is.

TensorRT 10 builds the network strongly typed: what stands in the file is what is computed. TensorRT 8 knows no such
thing, so there fp16 is allowed and every layer that the exporter kept in float32 is bound to it. TF32 is off: a bundle
that says fp32 gets it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.errors import EngineError
from edgevit.formats import FP32_NODE, STRONGLY_TYPED_SINCE, older
from edgevit.manifest import GraphFile
from edgevit.progress import Progress, Step, silent

from .onnx_guard import check_onnx
from .tensorrt import Place, logger_of

_STEP = "build the engine"


@dataclass(frozen=True)
class Made:
    """Hold what a build gives: the serialised engine, and what was timed on the way."""

    engine: bytes
    timings: bytes


class EngineBuilder:
    """Go through TensorRT's steps for one file: parse, configure, build."""

    def __init__(
        self,
        place: Place,
        graph: GraphFile,
        precision: str,
        most_rows: int,
        workspace_mb: int | None,
        progress: Progress | None,
    ) -> None:
        self._place = place
        self._trt = place.trt
        self._graph = graph
        self._precision = precision
        self._most_rows = most_rows
        self._workspace_mb = workspace_mb
        self._progress = progress or silent
        self._strong = not older(place.version, STRONGLY_TYPED_SINCE)
        self._logger = logger_of(place.trt)

    def build(self, path: Path, timings: bytes) -> Made:
        """Build the engine of an ONNX file, starting from what earlier builds timed.

        Nothing of the builder outlives this: its memory is needed to try the engine.
        """
        check_onnx(path)
        began = time.perf_counter()
        self._progress(Step(_STEP, "minutes, the first time"))
        builder = self._trt.Builder(self._logger)
        network = self._parse(builder, path)
        config = builder.create_builder_config()
        monitor = self._configure(builder, network, config)
        self._take_timings(config, timings)
        engine = builder.build_serialized_network(network, config)
        if monitor is not None and monitor.fault is not None:
            raise monitor.fault
        if engine is None:
            raise EngineError(
                f"TensorRT {self._place.version} could not build {path.name}: {self._logger.last()}. "
                "Close other programs, or type: edgevit build BUNDLE --workspace 512"
            )
        self._progress(Step(_STEP, self._place.gpu.name, seconds=time.perf_counter() - began))
        timed = config.get_timing_cache()
        return Made(bytes(engine), b"" if timed is None else bytes(timed.serialize()))

    def _parse(self, builder: Any, path: Path) -> Any:
        flags = self._trt.NetworkDefinitionCreationFlag
        flag = flags.STRONGLY_TYPED if self._strong else flags.EXPLICIT_BATCH
        network = builder.create_network(1 << int(flag))
        parser = self._trt.OnnxParser(network, self._logger)
        if not parser.parse(path.read_bytes()):
            said = [str(parser.get_error(n).desc()) for n in range(parser.num_errors)] or [self._logger.last()]
            raise EngineError(
                f"TensorRT {self._place.version} cannot read {path.name}: {' '.join(said[0].split()).rstrip('.')}. "
                "Export the model for this --device again."
            )
        return network

    def _configure(self, builder: Any, network: Any, config: Any) -> Any:
        trt = self._trt
        if hasattr(trt.BuilderFlag, "TF32"):
            config.clear_flag(trt.BuilderFlag.TF32)
        if self._workspace_mb:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self._workspace_mb << 20)
        if not self._strong:
            self._constrain(network, config)
        varying = [t for t in self._graph.inputs if -1 in t.shape]
        if varying:
            profile = builder.create_optimization_profile()
            for tensor in varying:
                rest = tensor.shape[1:]
                profile.set_shape(tensor.name, (1, *rest), (1, *rest), (self._most_rows, *rest))
            config.add_optimization_profile(profile)
        if not hasattr(trt, "IProgressMonitor"):
            return None
        config.progress_monitor = monitor = _monitor_of(trt, self._progress)
        return monitor

    def _constrain(self, network: Any, config: Any) -> None:
        """For TensorRT 8: allow what the precision means, and bind the islands' layers to float32."""
        trt = self._trt
        if self._precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
        if self._precision != "fp16":
            return
        config.set_flag(trt.BuilderFlag.FP16)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        for layer in (network.get_layer(place) for place in range(network.num_layers)):
            if not str(layer.name).startswith(FP32_NODE):
                continue
            numbers = [n for n in range(layer.num_outputs) if layer.get_output(n).dtype in (trt.float32, trt.float16)]
            if numbers:  # a layer of shapes has whole numbers and is left alone
                layer.precision = trt.float32
            for n in numbers:
                layer.set_output_type(n, trt.float32)

    def _take_timings(self, config: Any, known: bytes) -> None:
        """Start from what earlier builds timed; what does not fit this machine counts as empty."""
        for data in dict.fromkeys((known, b"")):
            cache = config.create_timing_cache(data)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return


def _monitor_of(trt: Any, progress: Progress) -> Any:
    """Return a monitor that tells of the outermost phase. TensorRT calls it from several threads."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.fault: BaseException | None = None
            self._lock = threading.Lock()
            self._outer: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                with self._lock:
                    self._outer[phase_name] = num_steps
                self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._outer:
                self._tell(phase_name, step + 1)
            return self.fault is None  # False ends the build

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._outer.pop(phase_name, None)

        def _tell(self, phase: str, done: int) -> None:
            """Show a step; an interrupt arrives here too, and nothing may be raised into TensorRT."""
            try:
                with self._lock:
                    progress(Step(_STEP, phase, done=done, total=self._outer.get(phase)))
            except BaseException as fault:
                self.fault = fault

    return Monitor()
