"""Run .pte files with ExecuTorch's own Python runtime, which brings torch along: the one engine that does.

Its threads are ONE pool for the whole process, which has to have its size before a file is loaded: changing it under a
loaded file corrupts the heap. So the first file that is opened chooses, the pool changes size only while no file is
open, and the description always tells the number that really works.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
import warnings
import weakref
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EngineError, UnsupportedError, missing, reason
from edgevit.manifest import GraphFile

from . import EngineOptions, Tensor, Tensors
from .executorch_file import Contents, read_contents

_METHOD = "forward"
_DELEGATES = {
    "XnnpackBackend": "the CPU's XNNPACK",
    "CoreMLBackend": "Core ML, on iPhones, iPads and Macs",
    "VulkanBackend": "Vulkan, on Android phones",
}
"""Delegates that edgevit's exporters make files for. Others are never opened: some load foreign libraries."""


def load(path: Path, graph: GraphFile, options: EngineOptions) -> ExecutorchEngine:
    """Open a .pte file whose delegates and operators this machine has."""
    runtime = _runtime()
    options.precision_among("ExecuTorch", {"fp32": "fp32"})
    release = version("executorch")
    options.check_version("ExecuTorch", release, "executorch")
    contents = read_contents(path)
    _check_runs_here(path, contents, runtime)
    with _POOL.sized(runtime, options.thread_count) as threads:
        method = _open(runtime, path, graph)
        text = f"ExecuTorch {release}, CPU (XNNPACK), {_threads_text(threads, options)}"
        engine = ExecutorchEngine(method, graph, text)
        _POOL.hold(engine)
    return engine


def _runtime() -> Any:
    try:
        with warnings.catch_warnings(), _caught():
            warnings.simplefilter("ignore")  # it says at every import that its interface may change
            from executorch.extension.pybindings import portable_lib
    except ImportError as exc:
        raise missing("executorch", "Running an ExecuTorch bundle", "executorch") from exc
    return portable_lib


def _check_runs_here(path: Path, contents: Contents, runtime: Any) -> None:
    """Refuse what the runtime would fail on, or should not be given, in the words of the file."""
    for name in sorted(set(contents.delegates)):
        if name not in _DELEGATES:
            raise UnsupportedError(
                f"{path.name} calls the delegate '{name}', which edgevit does not open. "
                f"Expected {', '.join(_DELEGATES)}: export the model again."
            )
        if name not in runtime._get_registered_backend_names():
            raise UnsupportedError(
                f"{path.name} is for {_DELEGATES[name]}; this machine's ExecuTorch has no {name}. "
                "Run it on its device, or type: edgevit export MODEL --format executorch --backend xnnpack"
            )
    known = set(runtime._get_operator_names())
    if absent := sorted(set(contents.plain()) - known):
        raise UnsupportedError(
            f"{path.name} needs the operator {absent[0]}, which this machine's ExecuTorch has not. "
            "Type: pip install --upgrade 'edgevit[executorch]'"
        )


def _open(runtime: Any, path: Path, graph: GraphFile) -> Any:
    """Load the file's method, and see that it takes and gives what the manifest says."""
    with _caught() as said:
        try:
            program = runtime._load_program(str(path), program_verification=runtime.Verification.InternalConsistency)
            method = program.load_method(_METHOD)
        except (RuntimeError, ValueError) as exc:
            raise EngineError(f"ExecuTorch cannot open {path.name}: {reason(exc)}. {said()}".rstrip()) from exc
    meta = method.method_meta()
    for kind, count, promised in (
        ("inputs", meta.num_inputs(), graph.inputs),
        ("outputs", meta.num_outputs(), graph.outputs),
    ):
        if count != len(promised):
            raise EngineError(f"{path.name} has {count} {kind} where the bundle promises {len(promised)}.")
    return method


def _threads_text(threads: int, options: EngineOptions) -> str:
    count = f"{threads} thread{'' if threads == 1 else 's'}"
    return count if threads == options.thread_count else f"{count}, as the file opened before it"


class ExecutorchEngine:
    """Hold one loaded method."""

    def __init__(self, method: Any, graph: GraphFile, description: str) -> None:
        self._method = method
        self._inputs = [(t.name, np.dtype(t.dtype)) for t in graph.inputs]
        self._outputs = [t.name for t in graph.outputs]
        self.description = description

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._method is None:
            raise EngineError("This ExecuTorch program was closed; load the bundle again.")
        import torch  # the runtime has loaded it already: its tensors are the only ones that it takes

        # It reads the memory as it lies, and torch takes no array that may not be written.
        values = [np.require(inputs[name], dtype, ("C", "W")) for name, dtype in self._inputs]
        try:
            outputs = self._method([torch.from_numpy(value) for value in values])
        except (RuntimeError, ValueError) as exc:
            raise EngineError(f"ExecuTorch could not run the model: {reason(exc)}") from exc
        return {name: value.numpy() for name, value in zip(self._outputs, outputs, strict=True)}

    def close(self) -> None:
        self._method = None
        _POOL.release(self)


class _Pool:
    """Keep the process's one thread pool at the size that the open files were loaded with."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: weakref.WeakSet[ExecutorchEngine] = weakref.WeakSet()

    @contextlib.contextmanager
    def sized(self, runtime: Any, wanted: int) -> Iterator[int]:
        """Give the pool a size if no file is open, and tell the size it has while a file is being loaded."""
        with self._lock:
            if self._open:
                gc.collect()  # an engine in a cycle is as good as closed, but still holds its memory
            with _caught():
                if not self._open and runtime._threadpool_get_thread_count() != wanted:
                    runtime._unsafe_reset_threadpool(wanted)
                threads = runtime._threadpool_get_thread_count()
            yield threads

    def hold(self, engine: ExecutorchEngine) -> None:
        self._open.add(engine)

    def release(self, engine: ExecutorchEngine) -> None:
        with self._lock:
            self._open.discard(engine)


_POOL = _Pool()


@contextlib.contextmanager
def _caught() -> Iterator[Any]:
    """Keep the runtime's log lines off stderr, and hand over the last of them: its exceptions hold a number only."""
    with tempfile.TemporaryFile() as sink, contextlib.ExitStack() as stack:

        def said() -> str:
            lines = os.pread(sink.fileno(), 1 << 16, 0).decode("utf-8", "replace").splitlines()
            told = [line.rpartition("] ")[2].strip() for line in lines if line.strip()]
            return told[-1] if told else ""

        with contextlib.suppress(OSError):  # a process without stderr has nothing to keep clean
            saved = os.dup(2)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, 2)
            os.dup2(sink.fileno(), 2)
        yield said
