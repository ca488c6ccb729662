"""Time a file against its model in torch: one thread each, taking turns, by the clock of this process's own work.

Neighbours that take the core away (other conversions run beside) stop that clock too. What they do to caches, memory
and the core's frequency still counts; the turns share that between the two, and the median drops the worst of it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from edgevit.bundle import Bundle
from edgevit.formats import find_format
from edgevit.models import ModelDef
from edgevit.runtime.engines import EngineOptions, load_engine, run_checked

from ..proof import read_arrays

_BUDGET_S = 3.0
_LEAST, _MOST = 5, 60
_WARM_UP = 2

CLOCK = "processor"
"""What the times of a cell were taken with; cells of an earlier edgevit, which took the clock on the wall, lack it."""


def latencies_ms(bundle: Bundle, model: ModelDef) -> tuple[float, float] | None:
    """Return the medians of the file and of torch; None where the file's own engine cannot run here."""
    graph = bundle.manifest.graphs["main"]
    if graph.proof != "executed":
        return None
    _, tensor, _ = read_arrays(bundle, "golden", ("picture", "input", "output"))
    inputs = {graph.inputs[0].name: tensor}
    example = model.graphs["main"].example()
    engine = load_engine(
        find_format(bundle.manifest.format).engine, bundle.graph_file(), graph, EngineOptions(threads=1)
    )
    try:
        with torch.inference_mode():
            ours, torchs = in_turns(lambda: run_checked(engine, graph, inputs), lambda: model.module(*example))
    finally:
        engine.close()
    return ours, torchs


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Return the median milliseconds of processor time, of all threads, of two things that are run by turns."""
    for _ in range(_WARM_UP):
        one()
        other()
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + _BUDGET_S
    while len(times[0]) < _LEAST or (len(times[0]) < _MOST and time.perf_counter() < end):
        for work, taken in zip((one, other), times, strict=True):
            began = time.process_time()
            work()
            taken.append((time.process_time() - began) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])
