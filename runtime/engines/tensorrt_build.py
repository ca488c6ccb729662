"""Build TensorRT's engines of a bundle on the device that will run them.

TensorRT 10 builds the network strongly typed: what stands in the file is what is computed. TensorRT 8 knows no such
thing, so there fp16 is allowed and every layer that the exporter kept in float32 is bound to it. TF32 is off: a bundle
that says fp32 gets it. ``edgevit build`` is the door to this; opening a bundle never comes here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle
from edgevit.errors import EngineError, UnsupportedError
from edgevit.formats import older
from edgevit.manifest import GraphFile
from edgevit.progress import Progress, Step, silent

from ..engine_cache import EngineCache, write_whole
from .onnx_guard import check_onnx
from .tensorrt import Place, here, logger_of

STRONGLY_TYPED_SINCE = "10.0"
MOST_ROWS = 8
"""The largest batch of a bundle whose batch may vary, unless another one is asked for: each row costs memory."""
FORMAT = "tensorrt"

_ISLAND = "fp32/"
"""How the exporter begins the names of what keeps float32 (exporters/onnx_typing.py)."""
_STEP = "build the engine"


@dataclass(frozen=True)
class BuildOptions:
    """Choose how to build. ``workspace_mb`` bounds the memory that layers may use; None leaves it to TensorRT."""

    workspace_mb: int | None = None
    most_rows: int = MOST_ROWS
    timing_cache: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Built:
    """Tell of one engine: where it lies, what it is for, and whether it was there already."""

    graph: str
    path: Path
    gpu: str
    tensorrt: str
    size_bytes: int
    seconds: float
    reused: bool


def build(bundle: Bundle, options: BuildOptions | None = None, progress: Progress | None = None) -> tuple[Built, ...]:
    """Build the engine of each graph, or find it in the cache beside the bundle. Other formats are refused."""
    manifest, chosen = bundle.manifest, options or BuildOptions()
    if manifest.format != FORMAT:
        raise UnsupportedError(f"{bundle.path.name} is {manifest.format}: only {FORMAT} bundles are built on a device.")
    place = here()
    _check_release(bundle, place)
    return tuple(_build(bundle, name, graph, place, chosen, progress) for name, graph in manifest.graphs.items())


def _check_release(bundle: Bundle, place: Place) -> None:
    """Raise if the file was made for a newer TensorRT: its opset and operators are those of that one's parser."""
    needed = str((bundle.manifest.verification.get("file") or {}).get("tensorrt", "")).partition(" ")[0]
    if needed and older(place.version, needed):
        raise UnsupportedError(
            f"{bundle.path.name} was made for TensorRT {needed} or newer, and {place.version} is here. "
            "Export the model again with this board's --device."
        )


def _build(
    bundle: Bundle, name: str, graph: GraphFile, place: Place, options: BuildOptions, progress: Progress | None
) -> Built:
    manifest, cache = bundle.manifest, EngineCache(bundle.path)
    rows = options.most_rows if any(-1 in t.shape for t in graph.inputs) else 0
    asked = {"workspace_mb": options.workspace_mb or 0, "most_rows": rows}
    key = place.key(manifest.files[graph.file].sha256, manifest.precision, **asked)
    began = time.perf_counter()
    with cache.building(progress):
        found = None if options.force else cache.exact(key)
        if found is not None:
            return Built(name, found.path, place.gpu.name, place.version, len(found.data), 0.0, reused=True)
        timings = options.timing_cache or cache.folder / f"timings-sm{place.gpu.compute}-{place.version}.bin"
        data = _Builder(place, graph, manifest.precision, options, progress).build(bundle.path / graph.file, timings)
        seconds = time.perf_counter() - began
        path = cache.store(key, data, {"seconds": round(seconds, 1)})
    return Built(name, path, place.gpu.name, place.version, len(data), seconds, reused=False)


class _Builder:
    """Go through TensorRT's steps for one file: parse, configure, build."""

    def __init__(
        self, place: Place, graph: GraphFile, precision: str, options: BuildOptions, progress: Progress | None
    ) -> None:
        self._place = place
        self._trt = place.trt
        self._graph = graph
        self._precision = precision
        self._options = options
        self._progress = progress or silent
        self._strong = not older(place.version, STRONGLY_TYPED_SINCE)
        self._logger = logger_of(place.trt)

    def build(self, path: Path, timings: Path) -> bytes:
        """Return the serialised engine of an ONNX file; what was timed on the way is kept for the next build."""
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
        self._keep_timings(config, timings)
        self._progress(Step(_STEP, self._place.gpu.name, seconds=time.perf_counter() - began))
        return bytes(engine)

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
        if self._options.workspace_mb:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self._options.workspace_mb << 20)
        if not self._strong:
            self._constrain(network, config)
        varying = [t for t in self._graph.inputs if -1 in t.shape]
        if varying:
            profile = builder.create_optimization_profile()
            for tensor in varying:
                rest = tensor.shape[1:]
                profile.set_shape(tensor.name, (1, *rest), (1, *rest), (self._options.most_rows, *rest))
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
            if not str(layer.name).startswith(_ISLAND):
                continue
            numbers = [n for n in range(layer.num_outputs) if layer.get_output(n).dtype in (trt.float32, trt.float16)]
            if numbers:  # a layer of shapes has whole numbers and is left alone
                layer.precision = trt.float32
            for n in numbers:
                layer.set_output_type(n, trt.float32)

    def _take_timings(self, config: Any, path: Path) -> None:
        """Start from what earlier builds timed; what does not fit this machine counts as empty."""
        known = path.read_bytes() if path.is_file() else b""
        for data in dict.fromkeys((known, b"")):
            cache = config.create_timing_cache(data)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return

    def _keep_timings(self, config: Any, path: Path) -> None:
        cache = config.get_timing_cache()
        if cache is not None:
            write_whole(path, bytes(cache.serialize()))


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


def summary(built: Built) -> Mapping[str, Any]:
    """Return what one engine is, as JSON data."""
    return {**vars(built), "path": str(built.path), "seconds": round(built.seconds, 1)}
