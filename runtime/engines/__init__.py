"""Open a model file with the engine of its format. One engine a file; each is imported when it is first used.

An engine module has one function, ``load(path, graph, options) -> Engine``. Engines translate their own exceptions to
``EngineError`` at this door; what a graph answers is checked here before anybody sees it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevit.errors import BadOutputError, EngineError, EnvironmentFault, InputError, UnsupportedError, UsageError
from edgevit.formats import FORMATS, Format, older
from edgevit.manifest import GraphFile
from edgevit.registry import Registry

Tensor = npt.NDArray[Any]
Tensors = Mapping[str, Tensor]

ENGINES = Registry(
    "engine",
    {f.engine: f"edgevit.runtime.engines.{f.engine}" for f in FORMATS.values()}
    | {"null": "edgevit.runtime.engines.null"},
    ask="edgevit doctor",
)

_MOST_THREADS_BY_DEFAULT = 4
"""Small nets gain nothing from more, and phones and boards have as many big cores."""


@dataclass(frozen=True)
class EngineOptions:
    """Choose how an engine runs. ``precision`` is what it computes in; exact fp32 unless chosen otherwise.

    ``minimum`` is the oldest version that the bundle asks for. ``files`` are all that an engine may open beside the
    model file; None trusts the model's folder, which ``open_bundle`` has looked through or an exporter is filling.
    """

    threads: int | None = None
    precision: str = "fp32"
    minimum: str = ""
    files: frozenset[Path] | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.threads, int) and not isinstance(self.threads, bool)
        if self.threads is not None and not (whole and 1 <= self.threads <= 1024):
            raise UsageError(f"threads must be a whole number from 1 to 1024, not {self.threads!r}.")

    @property
    def thread_count(self) -> int:
        """Return the chosen number of threads, else as many as there are cores, up to four."""
        return self.threads or max(1, min(_MOST_THREADS_BY_DEFAULT, cores()))

    def threads_text(self) -> str:
        """Say the number of threads in words."""
        return f"{self.thread_count} thread{'' if self.thread_count == 1 else 's'}"

    def precision_among(self, who: str, allowed: Mapping[str, str]) -> str:
        """Return the engine's word for the precision, or say which ones it has."""
        if self.precision not in allowed:
            raise UnsupportedError(
                f"{who} cannot compute in '{self.precision}'; it can in {', '.join(allowed)}. "
                f"Type: --precision {next(iter(allowed))}"
            )
        return allowed[self.precision]

    def check_version(self, who: str, version: str, extra: str) -> None:
        """Raise if the installed engine is older than the one that the file was made for."""
        if self.minimum and version and older(version, self.minimum):
            raise EnvironmentFault(
                f"The bundle needs {who} {self.minimum} or newer; {version} is installed. "
                f"Type: pip install --upgrade 'edgevit[{extra}]'"
            )


def cores() -> int:
    """Count the cores that this process may use: in a container, or under taskset, fewer than the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Engine(Protocol):
    """Run one graph."""

    @property
    def description(self) -> str:
        """Name engine, version, threads and the precision it computes in, for people to read."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """Return the outputs by name, in the graph's order."""

    def close(self) -> None:
        """Give the memory back; a closed engine cannot run."""


def load_engine(name: str, path: Path, graph: GraphFile, options: EngineOptions) -> Engine:
    """Open a model file with the named engine. An engine gets files of its own suffix only; null takes any."""
    module = ENGINES.load(name)
    own = [f.suffix for f in FORMATS.values() if f.engine == name]
    if own and path.suffix.lower() not in own:
        raise UnsupportedError(f"The engine '{name}' runs {', '.join(own)} files; {path.name} is none. {_remedy(path)}")
    engine: Engine = module.load(path, graph, options)
    return engine


def _remedy(path: Path) -> str:
    fitting = [f.engine for f in FORMATS.values() if f.suffix == path.suffix.lower()]
    return f"Type: --engine {fitting[0]}" if fitting else "Export the model again."


def check_engine(name: str, target: Format) -> None:
    """Raise unless the named engine runs bundles of a format."""
    fitting = (target.engine, "null")
    if name in ENGINES and name not in fitting:
        raise UnsupportedError(
            f"{target.title} bundles run with {', '.join(fitting)}; '{name}' is not among them. "
            f"Type: --engine {fitting[0]}"
        )


def run_checked(engine: Engine, graph: GraphFile, inputs: Tensors) -> dict[str, Tensor]:
    """Run a graph on inputs that fit it, and raise unless every output is there, finite and of the promised shape.

    NaN and wrong shapes are never a result.
    """
    for spec in graph.inputs:
        value = inputs.get(spec.name)
        if value is None or not _fits(value.shape, spec.shape):
            got = "nothing" if value is None else f"the shape {value.shape}"
            raise EngineError(f"The graph takes '{spec.name}' with the shape {spec.shape}; it was given {got}.")
    outputs = engine.run(inputs)
    who = engine.description
    for spec in graph.outputs:
        value = outputs.get(spec.name)
        if value is None:
            raise BadOutputError(f"{who} gave no output '{spec.name}'; it gave {', '.join(outputs) or 'none'}.")
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            kind = f"values of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
            raise BadOutputError(f"{who} gave '{spec.name}' as {kind}; a result is an array of numbers.")
        if not _fits(value.shape, spec.shape):
            raise BadOutputError(f"{who} gave '{spec.name}' the shape {value.shape}; the bundle promises {spec.shape}.")
        if not np.isfinite(value).all():
            raise BadOutputError(f"{who} gave NaN or infinity in '{spec.name}'; the answer was thrown away.")
    return outputs


def run_batch(engine: Engine, graph: GraphFile, batch: Tensor) -> Tensor:
    """Run any number of rows (N, ...) through a graph with one input and one output, whatever batch it was made for."""
    if not isinstance(batch, np.ndarray) or batch.ndim == 0 or len(batch) == 0:
        raise InputError("There is nothing to run: expected an array of one row or more (N, ...).")
    size = graph.inputs[0].shape[0]
    step = len(batch) if size == -1 else size
    rows = []
    for start in range(0, len(batch), step):
        part = batch[start : start + step]
        full = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)]) if len(part) < step else part
        output = run_checked(engine, graph, {graph.inputs[0].name: full})[graph.outputs[0].name]
        if output.ndim == 0 or len(output) != len(full):
            raise BadOutputError(f"{engine.description} answered {len(full)} rows with the shape {output.shape}.")
        rows.append(output[: len(part)])
    return np.concatenate(rows) if len(rows) != 1 else rows[0]


def _fits(shape: tuple[int, ...], promised: tuple[int, ...]) -> bool:
    return len(shape) == len(promised) and all(want in (-1, got) for want, got in zip(promised, shape, strict=True))
