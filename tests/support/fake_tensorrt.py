"""Stand in for the documented interface of TensorRT 8.5 to 11: what is strict there is strict here.

An engine is the ONNX file with a header, and running it is ONNX Runtime on the memory at the addresses that were set.
``made`` is what the last builder was told. ``skew`` spoils every answer by a factor; ``refuses`` and ``no_context`` are
faults of their own.
"""

from __future__ import annotations

import ctypes
import enum
import json
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime


@dataclass
class Made:
    """Record what a builder was told."""

    network_flags: int = 0
    flags: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)
    workspace: int | None = None
    shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    timings: bytes | None = None
    layers: list[Any] = field(default_factory=list)
    builds: int = 0


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    """Be the base of loggers; like a bound C++ class it must have been initialised."""

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: Severity, text: str) -> None:
        raise AssertionError("a logger must say what it does")


class Memory(bytes):
    """Be an IHostMemory: bytes."""


def module(version: str, cuda: Any) -> types.ModuleType:
    """Return a module like TensorRT's of a version, on a stand-in of libcudart."""
    trt = types.ModuleType("tensorrt")
    major = int(version.split(".")[0])
    made = Made()
    names = {10: ("EXPLICIT_BATCH", "STRONGLY_TYPED"), 11: ("STRONGLY_TYPED",)}.get(major, ("EXPLICIT_BATCH",))
    flags = ("TF32",) if major >= 11 else ("TF32", "FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS")
    creation = enum.IntEnum("Creation", {name: place for place, name in enumerate(names)})  # type: ignore[misc]
    builder_flag = enum.Enum("BuilderFlag", flags)  # type: ignore[misc]
    kind_of = enum.Enum("Kind", ("float32", "float16", "int64", "uint8"))  # type: ignore[misc]
    mode = enum.Enum("Mode", ("INPUT", "OUTPUT"))  # type: ignore[misc]
    pool_of = enum.Enum("Pool", ("WORKSPACE",))  # type: ignore[misc]
    kinds = {1: kind_of.float32, 10: kind_of.float16, 7: kind_of.int64, 2: kind_of.uint8}

    def strong(network_flags: int) -> bool:
        return major >= 11 or ("STRONGLY_TYPED" in names and bool(network_flags & 1 << creation["STRONGLY_TYPED"]))

    class Layer:
        def __init__(self, name: str, outputs: list[Any]) -> None:
            self.name = name
            self._outputs = outputs
            self._precision: Any = None
            self.types: dict[int, Any] = {}

        @property
        def num_outputs(self) -> int:
            return len(self._outputs)

        @property
        def precision(self) -> Any:
            return self._precision

        @precision.setter
        def precision(self, kind: Any) -> None:
            assert not strong(made.network_flags), "layer precision is not allowed in a strongly typed network"
            self._precision = kind

        def get_output(self, place: int) -> Any:
            return types.SimpleNamespace(dtype=self._outputs[place])

        def set_output_type(self, place: int, kind: Any) -> None:
            assert not strong(made.network_flags), "output types are not allowed in a strongly typed network"
            self.types[place] = kind

    class Network:
        data = b""

        @property
        def num_layers(self) -> int:
            return len(made.layers)

        def get_layer(self, place: int) -> Any:
            return made.layers[place]

    class OnnxParser:
        def __init__(self, network: Network, logger: ILogger) -> None:
            assert logger.ready
            self._network = network
            self._errors: list[str] = []

        def parse(self, data: bytes) -> bool:
            model = onnx.load_from_string(data)
            if model.graph.name == "refused":
                self._errors.append("In node 3 (importFoo): UNSUPPORTED_NODE: Foo")
                return False
            known = onnx.shape_inference.infer_shapes(model).graph
            by_name = {v.name: v.type.tensor_type.elem_type for v in (*known.value_info, *known.output)}
            made.layers[:] = [Layer(n.name, [kinds[by_name.get(o, 1)] for o in n.output]) for n in model.graph.node]
            self._network.data = data
            return True

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, place: int) -> Any:
            return types.SimpleNamespace(desc=lambda: self._errors[place])

    class TimingCache:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def serialize(self) -> Memory:
            return Memory(self.data)

    class Profile:
        def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
            assert tuple(least) <= tuple(usual) <= tuple(most)
            made.shapes[name] = (tuple(least), tuple(usual), tuple(most))

    class Config:
        progress_monitor: Any = None

        def __init__(self) -> None:
            self._cache: TimingCache | None = None

        def set_flag(self, flag: Any) -> None:
            made.flags.add(flag.name)

        def clear_flag(self, flag: Any) -> None:
            made.cleared.add(flag.name)

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            assert pool is pool_of["WORKSPACE"]
            made.workspace = size

        def create_timing_cache(self, data: bytes) -> TimingCache | None:
            return None if data.startswith(b"broken") else TimingCache(data)

        def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
            if cache.data.startswith(b"other") and not ignore_mismatch:
                return False
            self._cache, made.timings = cache, cache.data
            return True

        def get_timing_cache(self) -> TimingCache | None:
            return TimingCache((self._cache.data if self._cache else b"") + b"timed;")

        def add_optimization_profile(self, profile: Profile) -> int:
            return 0

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def create_network(self, network_flags: int) -> Network:
            made.network_flags = network_flags
            return Network()

        def create_builder_config(self) -> Config:
            return Config()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: Config) -> Memory | None:
            made.builds += 1
            if strong(made.network_flags) and made.flags & {"FP16", "INT8"}:
                self._logger.log(Severity.ERROR, "precision flags in a strongly typed network")
                return None
            if onnx.load_from_string(network.data).graph.name == "too large":
                self._logger.log(Severity.WARNING, "it is warm")
                self._logger.log(Severity.ERROR, "Could not find any implementation for node {ForeignNode}.")
                return None
            if config.progress_monitor is not None and not _steps(config.progress_monitor):
                return None
            head = {"version": version, "gpu": _gpu(cuda), "shapes": made.shapes}
            return Memory(json.dumps(head).encode() + b"\n" + network.data)

    class Context:
        def __init__(self, engine: Engine) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._shapes: dict[str, tuple[int, ...]] = {}

        def set_tensor_address(self, name: str, address: int) -> bool:
            self._addresses[name] = address
            return address != 0

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            most = self._engine.shapes[name][2]
            self._shapes[name] = tuple(shape)
            return all(1 <= got <= limit for got, limit in zip(shape, most, strict=True))

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            shape = self._shapes.get(name) or self._engine.get_tensor_shape(name)
            rows = next((s[0] for s in self._shapes.values()), -1)
            return (rows if shape[0] == -1 else shape[0], *shape[1:])

        def execute_async_v3(self, stream: int) -> bool:
            if not stream or set(self._addresses) != set(self._engine.names):
                return False
            cuda.fake_flush()  # what was queued before runs before
            inputs = {i.name: self._array(i.name) for i in self._engine.session.get_inputs()}
            for name, value in zip(self._engine.outputs, self._engine.session.run(None, inputs), strict=True):
                self._array(name)[...] = value * getattr(trt, "skew", 1.0)
            return True

        def _array(self, name: str) -> Any:
            shape, dtype = self.get_tensor_shape(name), self._engine.dtype(name)
            raw = (ctypes.c_ubyte * (int(np.prod(shape)) * dtype.itemsize)).from_address(self._addresses[name])
            return np.frombuffer(raw, dtype).reshape(shape)

    class Engine:
        def __init__(self, head: dict[str, Any], data: bytes) -> None:
            self.shapes = head["shapes"]
            self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            self.outputs = [o.name for o in self.session.get_outputs()]
            self._tensors = {t.name: t for t in (*self.session.get_inputs(), *self.session.get_outputs())}
            self.names: list[str] = list(self._tensors)

        @property
        def num_io_tensors(self) -> int:
            return len(self.names)

        def get_tensor_name(self, place: int) -> str:
            return self.names[place]

        def get_tensor_mode(self, name: str) -> Any:
            return mode["OUTPUT"] if name in self.outputs else mode["INPUT"]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(n if isinstance(n, int) else -1 for n in self._tensors[name].shape)

        def get_tensor_dtype(self, name: str) -> Any:
            return {"tensor(float)": kind_of["float32"], "tensor(uint8)": kind_of["uint8"]}[self._tensors[name].type]

        def dtype(self, name: str) -> Any:
            return np.dtype(trt.nptype(self.get_tensor_dtype(name)))

        def get_tensor_profile_shape(self, name: str, profile: int) -> list[Any]:
            assert profile == 0
            return list(self.shapes[name])

        def create_execution_context(self) -> Context | None:
            return None if getattr(trt, "no_context", False) else Context(self)

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            head, _, rest = data.partition(b"\n")
            told = json.loads(head)
            if getattr(trt, "refuses", False) or (told["version"], told["gpu"]) != (version, _gpu(cuda)):
                self._logger.log(
                    Severity.ERROR, "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed."
                )
                return None
            return Engine(told, rest)

    parts: dict[str, Any] = {
        "__version__": version,
        "ILogger": ILogger, "Logger": Severity, "Builder": Builder, "OnnxParser": OnnxParser, "Runtime": Runtime,
        "NetworkDefinitionCreationFlag": creation, "BuilderFlag": builder_flag, "MemoryPoolType": pool_of,
        "TensorIOMode": mode, "float32": kind_of["float32"], "float16": kind_of["float16"], "made": made,
        "nptype": lambda kind: {"float32": np.float32, "float16": np.float16, "uint8": np.uint8}[kind.name],
    }  # fmt: skip
    if major >= 10:
        parts["IProgressMonitor"] = type("IProgressMonitor", (), {"__init__": lambda self: None})
    vars(trt).update(parts)
    return trt


def _steps(monitor: Any) -> bool:
    """Go through two phases, one inside the other, as a builder does; False where the monitor ends it."""
    monitor.phase_start("Building Engine", None, 2)
    monitor.phase_start("Tactics", "Building Engine", 5)
    for step in range(5):
        if not monitor.step_complete("Tactics", step):
            return False
    monitor.phase_finish("Tactics")
    goes_on = all(monitor.step_complete("Building Engine", step) for step in range(2))
    monitor.phase_finish("Building Engine")
    return goes_on


def _gpu(cuda: Any) -> str:
    name = ctypes.create_string_buffer(1024)
    cuda.cudaGetDeviceProperties_v2(name, 0)
    return bytes(name.value).decode()
