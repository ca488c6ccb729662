"""Run the engines that TensorRT built on this device: pinned buffers, one CUDA stream, types as they stand in the file.

``load`` takes the engine from the cache beside the bundle and never builds one: that takes minutes and most of a small
board's memory, which nobody expects of opening a bundle, least of all an app in front of a camera. It says what to
type instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import sha256_of
from edgevit.errors import EngineError, EnvironmentFault, UnsupportedError, reason
from edgevit.formats import older
from edgevit.manifest import GraphFile

from ..engine_cache import EngineCache, EngineKey
from . import EngineOptions, Tensor, Tensors
from .cudart import Cudart, Gpu, Pair, open_cudart

OLDEST = "8.5"
"""The first with ``execute_async_v3`` and tensors by name, and the first that has builds for Python 3.10."""


@dataclass(frozen=True)
class Place:
    """Hold what engines are made for: TensorRT itself, its version, CUDA and the GPU."""

    trt: Any
    version: str
    cuda: Cudart
    gpu: Gpu

    def key(self, model_sha256: str, precision: str = "", **options: int) -> EngineKey:
        """Return the key of a model's engine here."""
        return EngineKey(model_sha256, self.gpu.name, self.gpu.compute, self.version, precision, options)


def here() -> Place:
    """Look at this machine, or say what it lacks."""
    try:
        import tensorrt as trt
    except (ImportError, OSError) as exc:
        raise EnvironmentFault(
            f"TensorRT cannot be imported here ({reason(exc)}); on a Jetson JetPack brings it, and a virtual "
            "environment sees it if made with --system-site-packages. Type: sudo apt install nvidia-jetpack"
        ) from exc
    version = str(trt.__version__)
    if older(version, OLDEST):
        raise EnvironmentFault(
            f"TensorRT {version} is older than {OLDEST}, the oldest that edgevit drives. {newer(OLDEST)}; or type the "
            "trtexec command that stands in the bundle's manifest.json, under verification, file"
        )
    cuda = open_cudart()
    return Place(trt, version, cuda, cuda.gpu())


def newer(version: str) -> str:
    """Say how a newer TensorRT comes to a machine: a Jetson has the one of its JetPack, and pip brings it none."""
    return (
        f"TensorRT {version} comes to a Jetson with a newer JetPack, and elsewhere with: "
        "pip install --upgrade 'edgevit[tensorrt]'"
    )


def logger_of(trt: Any) -> Any:
    """Return a logger that keeps the errors and prints nothing."""

    class Errors(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.told: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity in (trt.Logger.INTERNAL_ERROR, trt.Logger.ERROR):
                self.told.append(" ".join(text.split()))

        def last(self) -> str:
            return self.told[-1].rstrip(".") if self.told else "no reason given"

    return Errors()


def bundle_of(path: Path, graph: GraphFile) -> Path:
    """Return the bundle's folder, given the path of one of its files."""
    return path.absolute().parents[len(Path(graph.file).parts) - 1]


def load(path: Path, graph: GraphFile, options: EngineOptions) -> TensorrtEngine:
    """Open the engine that ``edgevit build`` made of a file on this device."""
    if options.precision != "fp32":
        raise UnsupportedError(
            "TensorRT computes in the types that stand in the bundle's file; there is nothing to choose when it runs. "
            "Leave --precision out here, and give it to edgevit export."
        )
    place = here()
    if options.minimum and older(place.version, options.minimum):
        raise EnvironmentFault(
            f"The bundle needs TensorRT {options.minimum} or newer; {place.version} is installed. "
            f"{newer(options.minimum)}"
        )
    bundle = bundle_of(path, graph)
    cache, key = EngineCache(bundle), place.key(sha256_of(path))
    found = cache.find(key)
    if found is None:
        why = cache.others(key)
        raise EnvironmentFault(
            f"{bundle.name} has no engine for {place.gpu.name} and TensorRT {place.version} yet"
            f"{f' ({why})' if why else ''}. Type: edgevit build {bundle}"
        )
    types = found.record["key"].get("precision") or "types of the file"
    return open_engine(place, found.data, graph, bundle, types)


def open_engine(place: Place, data: bytes, graph: GraphFile, bundle: Path, types: str) -> TensorrtEngine:
    """Open a serialised engine of a bundle's graph; ``types`` are for people to read."""
    logger = logger_of(place.trt)
    runtime = place.trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise EngineError(
            f"TensorRT {place.version} refuses the engine of {bundle.name}: {logger.last()}. "
            f"Type: edgevit build {bundle} --force"
        )
    text = f"TensorRT {place.version}, {place.gpu.name}, {types}"
    return TensorrtEngine(place, logger, runtime, engine, graph, text)


@dataclass(frozen=True)
class _Port:
    """Hold one tensor of the engine: its memory, its type, its largest shape."""

    name: str
    pair: Pair
    dtype: Any
    most: tuple[int, ...]
    varies: bool


class TensorrtEngine:
    """Hold one engine with its context, buffers and stream."""

    def __init__(
        self, place: Place, logger: Any, runtime: Any, engine: Any, graph: GraphFile, description: str
    ) -> None:
        self.description = description
        self._cuda = place.cuda
        self._logger = logger  # TensorRT keeps a bare pointer to it
        self._parts: tuple[Any, ...] = (runtime, engine)
        with contextlib.ExitStack() as stack:
            self._context: Any = engine.create_execution_context()
            if self._context is None:
                raise EngineError(f"TensorRT cannot prepare the engine: {logger.last()}. Close other programs.")
            self._stream = stack.enter_context(place.cuda.stream())
            named = _names(engine)
            self._inputs = [self._port(stack, place.trt, engine, t.name, named) for t in graph.inputs]
            self._outputs = [self._port(stack, place.trt, engine, t.name, named) for t in graph.outputs]
            self._memory = stack.pop_all()
        self._most = min((p.most[0] for p in self._inputs if p.varies), default=0)

    def _port(self, stack: contextlib.ExitStack, trt: Any, engine: Any, name: str, named: set[str]) -> _Port:
        if name not in named:
            raise EngineError(f"The engine has no tensor '{name}'; it has {', '.join(sorted(named))}. Build it again.")
        shape = tuple(engine.get_tensor_shape(name))
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        varies = -1 in shape
        most = (_most_rows(engine, trt), *shape[1:]) if varies else shape
        pair = stack.enter_context(self._cuda.pair(int(np.prod(most, dtype=np.int64)) * dtype.itemsize))
        if not self._context.set_tensor_address(name, pair.device):
            raise EngineError(f"TensorRT does not take memory for '{name}': {self._logger.last()}.")
        return _Port(name, pair, dtype, most, varies)

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._context is None:
            raise EngineError("This TensorRT engine was closed; load the bundle again.")
        rows = len(inputs[self._inputs[0].name])
        step = self._most or rows  # more rows than the engine was built for go through in turns
        parts = [
            self._run({name: value[start : start + step] for name, value in inputs.items()})
            for start in range(0, rows, step)
        ]
        return {port.name: np.concatenate([part[port.name] for part in parts]) for port in self._outputs}

    def _run(self, inputs: Tensors) -> dict[str, Tensor]:
        for port in self._inputs:
            value = inputs[port.name]
            if port.varies and not self._context.set_input_shape(port.name, value.shape):
                raise EngineError(f"TensorRT does not take the shape {value.shape}: {self._logger.last()}.")
            if not np.can_cast(value.dtype, port.dtype, "same_kind"):
                raise EngineError(
                    f"The engine takes '{port.name}' as {port.dtype}; it was given {value.dtype}. "
                    "Prepare the picture as the bundle's manifest says."
                )
            np.copyto(port.pair.view(value.shape, port.dtype), value, casting="same_kind")
            self._cuda.to_device(port.pair, value.size * port.dtype.itemsize, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise EngineError(f"TensorRT could not run the model: {self._logger.last()}.")
        given = []
        for port in self._outputs:
            shape = tuple(self._context.get_tensor_shape(port.name)) if port.varies else port.most
            view = port.pair.view(shape, port.dtype)
            self._cuda.to_host(port.pair, view.nbytes, self._stream)
            given.append((port.name, view))
        self._cuda.wait(self._stream)
        return {name: view.copy() for name, view in given}

    def close(self) -> None:
        if self._context is not None:
            self._context = None
            self._parts = ()
            self._memory.close()


def _names(engine: Any) -> set[str]:
    return {engine.get_tensor_name(place) for place in range(engine.num_io_tensors)}


def _most_rows(engine: Any, trt: Any) -> int:
    """Return the largest batch of the first profile: what the first input that varies may be."""
    return min(_row_limits(engine, trt), default=1)


def _row_limits(engine: Any, trt: Any) -> Iterator[int]:
    for place in range(engine.num_io_tensors):
        name = engine.get_tensor_name(place)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        if is_input and -1 in tuple(engine.get_tensor_shape(name)):
            yield int(engine.get_tensor_profile_shape(name, 0)[2][0])
