"""Time one frame's net of a tracker: plain torch, the stock ONNX export, and what edgevit makes of it, by turns.

All run the graph ``track`` on one thread in one process, in turns, and processor time is counted: a busy machine slows
them alike. Weights are random and alive. ``stock`` is ``torch.onnx.export`` of the same module, untouched.

    python -m benchmarks.tracking_speed --model hit_tiny --format onnx --format litert --format openvino
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import Bundle
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import EngineOptions, load_engine, run_checked
from edgevit.spec import TensorSpec

MODELS = ("hit_nano", "hit_tiny", "hit_small", "hit_base")
FORMATS = ("onnx", "litert", "openvino")
WARM, TURNS = 3, 30
Run = Callable[[], Any]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", choices=MODELS, help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--format", action="append", choices=FORMATS, help=f"default: {', '.join(FORMATS)}")
    asked = parser.parse_args(words)
    formats = tuple(asked.format or FORMATS)
    print(f"| model | torch, ms | stock ONNX | {' | '.join(formats)} | fastest of torch | fastest of stock |")
    print("|---" * (len(formats) + 5) + "|")
    for name in asked.model or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            times = measured(name, formats, Path(folder))
        best = min(times[format_name] for format_name in formats)
        cells = (f"{value:.1f}" for value in times.values())
        gains = f"{times['torch'] / best:.2f} | {times['stock'] / best:.2f}"
        print(f"| {name} | {' | '.join(cells)} | {gains} |", flush=True)


def measured(name: str, formats: Sequence[str], folder: Path) -> dict[str, float]:
    """Return the median processor milliseconds of every form."""
    import torch

    import edgevit
    from edgevit.exporters.quiet import quiet

    torch.set_num_threads(1)
    model = edgevit.create_model(name, "random")
    graph = model.graphs["track"]
    module = graph.module.eval()
    dice = np.random.default_rng(0)
    inputs = {spec.name: _drawn(spec, dice) for spec in graph.inputs}
    tensors = tuple(torch.from_numpy(value) for value in inputs.values())
    bundles = {
        format_name: edgevit.export(model, format=format_name, precision="fp32", out=folder / format_name)
        for format_name in formats
    }
    with quiet():
        torch.onnx.export(
            *(module, tensors, folder / "stock.onnx"),
            input_names=list(inputs),
            output_names=[spec.name for spec in graph.outputs],
            external_data=False,
        )
    with ExitStack() as stack:
        runs: dict[str, Run] = {
            "torch": lambda: _in_torch(module, tensors),
            "stock": _stock(folder, graph.outputs, inputs, stack),
        }
        runs |= {format_name: _engine_run(bundle, inputs, stack) for format_name, bundle in bundles.items()}
        return _in_turns(runs)


def _in_turns(runs: dict[str, Run]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(WARM + TURNS):
        for name, run in runs.items():
            began = time.process_time()
            run()
            if turn >= WARM:
                taken[name].append(1e3 * (time.process_time() - began))
    return {name: float(np.median(times)) for name, times in taken.items()}


def _in_torch(module: Any, tensors: tuple[Any, ...]) -> None:
    import torch

    with torch.inference_mode():
        module(*tensors)


def _stock(folder: Path, outputs: tuple[TensorSpec, ...], inputs: dict[str, Any], stack: ExitStack) -> Run:
    specs = tuple(TensorSpec(name, value.shape) for name, value in inputs.items())
    graph = GraphFile("stock.onnx", "track", specs, outputs, "executed")
    return _run_of("onnx", folder / "stock.onnx", graph, inputs, stack)


def _engine_run(bundle: Bundle, inputs: dict[str, Any], stack: ExitStack) -> Run:
    from edgevit.formats import FORMATS as ALL

    m = bundle.manifest
    return _run_of(ALL[m.format].engine, bundle.graph_file("track"), m.graphs["track"], inputs, stack)


def _run_of(engine: str, path: Path, graph: GraphFile, inputs: dict[str, Any], stack: ExitStack) -> Run:
    opened = load_engine(engine, path, graph, EngineOptions(threads=1))
    stack.callback(opened.close)
    fitting = {spec.name: _laid(inputs[spec.name], spec) for spec in graph.inputs}
    return lambda: run_checked(opened, graph, fitting)


def _laid(value: Any, spec: TensorSpec) -> Any:
    """Lay a picture out as the file wants it."""
    last = value.ndim == 4 and spec.shape[-1] == value.shape[1] != spec.shape[1]
    return np.ascontiguousarray(value.transpose(0, 2, 3, 1)) if last else value


def _drawn(spec: TensorSpec, dice: np.random.Generator) -> Any:
    return dice.standard_normal(tuple(int(n) for n in spec.shape), dtype=np.float32)


if __name__ == "__main__":
    main()
