"""Compare timm's modules as they are with the rewritten ones: equality in torch, speed in each format's own engine.

Three files a row. ``stock`` is the vendor's own recipe on timm's module (``torch.onnx.export``,
``litert_torch.convert``, ``openvino.convert_model``); ``plain`` is that module through edgevit's exporter, without
rewrites; ``rewritten`` is what edgevit exports. All run in the same engine, one process a measurement, by turns; the
two gains are ratios of the medians of those processes. ``floor`` is what the model's multiplications would take at
the speed of ONNX Runtime's product of two matrices, the best of many runs: a form that wasted nothing. ``--clock cpu``
counts the processor time of the process instead of the time on the wall: for one thread on a busy machine.

    python -m benchmarks.rewrites --model mobilevit_s --format onnx --format litert [--threads 1] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.devices import load_device
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec

MODELS = (
    "mobilevit_s",
    "mobilevitv2_100",
    "efficientvit_m2",
    "shvit_s1",
    "levit_128s",
    "levit_conv_128s",
    "efficientformerv2_s0",
)
RUNS = 40
WARM = 5
SIDE = 512
"""Of the square matrices whose product shows the processor's speed: they stay in its cache."""
KINDS = ("stock", "plain", "rewritten")


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, or be one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--format", action="append", choices=sorted(_VENDORS), help="default: all of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--make", nargs=3, metavar=("MODEL", "FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--time", nargs=2, metavar=("FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.make:
        print(json.dumps(make(asked.make[0], asked.make[1], Path(asked.make[2]))))
    elif asked.time:
        print(timed(asked.time[0], Path(asked.time[1]), asked.threads, asked.clock))
    elif asked.peak:
        print(peak_per_s(asked.threads, asked.clock))
    else:
        table(asked.model or MODELS, asked.format or tuple(_VENDORS), asked)


def table(models: Sequence[str], formats: Sequence[str], asked: argparse.Namespace) -> None:
    """Print a row for each model and format."""
    peak = float(_process("--peak", "--threads", str(asked.threads), "--clock", asked.clock))
    host = load_device("host")
    print(
        f"{host.soc.name if host.soc else 'unknown processor'}, {asked.threads} threads, {asked.clock} clock:", end=" "
    )
    print(f"{peak / 1e9:.0f} thousand million multiplications and additions a second in a product of matrices.\n")
    print("| model | format | swapped | max difference | stock, ms | plain | rewritten | floor | of stock | of plain |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in models:
        for format_name in formats:
            with tempfile.TemporaryDirectory() as folder:
                made = json.loads(_process("--make", name, format_name, folder))
                times = _medians(made["failed"], format_name, folder, asked)
            floor = 1e3 * made["multiplications"] / peak
            print("|", " | ".join((name, format_name, *_cells(made, times, floor))), "|", flush=True)


def _medians(failed: dict[str, str], format_name: str, folder: str, asked: argparse.Namespace) -> dict[str, float]:
    """Time the files by turns; those that could not be made are left out."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS if kind not in failed}
    options = ("--threads", str(asked.threads), "--clock", asked.clock)
    for _ in range(asked.rounds):
        for kind, taken in times.items():
            taken.append(float(_process("--time", format_name, f"{folder}/{kind}", *options)))
    return {kind: float(np.median(taken)) for kind, taken in times.items()}


def _cells(made: dict[str, Any], times: dict[str, float], floor: float) -> tuple[str, ...]:
    shown = [f"{times[kind]:.2f}" if kind in times else made["failed"][kind] for kind in KINDS]
    ours = times.get("rewritten")
    gains = [f"{times[kind] / ours:.2f}" if ours and kind in times else "-" for kind in KINDS[:2]]
    return made["swapped"], f"{made['difference']:.1e}", *shown, f"{floor:.2f}", *gains


def _process(*words: str) -> str:
    """Run this file again and return the last line of what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rewrites", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def make(name: str, format_name: str, folder: Path) -> dict[str, object]:
    """Convert all kinds into folders of their own; a converter that gives up is told, not raised."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from edgevit.exporters.quiet import quiet
    from edgevit.exporters.trace import trace
    from edgevit.models import create_model

    model = create_model(name, "random")
    graph = model.graphs["main"]
    with quiet():
        rewritten = trace("main", graph, format_name, batch=1, dynamic=False)
        plain = replace(
            rewritten, module=graph.module, program=torch.export.export(graph.module, rewritten.example, strict=False)
        )
    example = rewritten.example[0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        theirs = graph.module(example)
    with torch.no_grad():
        ours = rewritten.module(example)
    ways: dict[str, Callable[[Path], GraphFile]] = {
        "stock": partial(_VENDORS[format_name], graph.module, example),
        "plain": partial(_exported, plain, model, format_name),
        "rewritten": partial(_exported, rewritten, model, format_name),
    }
    failed = {}
    for kind, way in ways.items():
        (folder / kind).mkdir()
        try:
            with quiet():
                file = way(folder / kind)
        except Exception as exc:  # whatever a vendor's converter raises
            failed[kind] = f"refused: {str(exc).splitlines()[0][:80]}"
            continue
        (folder / kind / "graph.json").write_text(json.dumps(file.to_dict()))
    return {
        "difference": float((ours - theirs).abs().max() / theirs.abs().max()),
        "failed": failed,
        "swapped": _swapped(graph.module, format_name),
        "multiplications": counter.get_total_flops() // 2,
    }


def _swapped(module: Any, format_name: str) -> str:
    """Name the types that the target's rules swap in a model, as often as they stand there."""
    from edgevit.kernels.rewrites.table import rules_for

    rules = rules_for(format_name)
    found = Counter(type(part).__name__ for part in module.modules() if type(part) in rules)
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "-"


def _exported(traced: Any, model: Any, format_name: str, folder: Path) -> GraphFile:
    from edgevit.exporters import EXPORTERS
    from edgevit.exporters.recipe import Job

    job = Job(FORMATS[format_name], "fp32", model.spec, folder, model=model.name)
    made = EXPORTERS.load(format_name).convert(traced, job)
    return GraphFile(made.file, "main", made.inputs, made.outputs, "executed")


def _stock_onnx(module: Any, example: Any, folder: Path) -> GraphFile:
    import torch

    torch.onnx.export(
        *(module, (example,), folder / "model.onnx"), input_names=["in"], output_names=["out"], external_data=False
    )
    return _file("model.onnx", example)


def _stock_litert(module: Any, example: Any, folder: Path) -> GraphFile:
    import litert_torch

    litert_torch.convert(module, (example,)).export(str(folder / "model.tflite"))
    return _file("model.tflite", example)


def _stock_openvino(module: Any, example: Any, folder: Path) -> GraphFile:
    import openvino as ov

    made = ov.convert_model(module, example_input=example, input=list(example.shape))
    made.inputs[0].tensor.set_names({"in"})
    made.outputs[0].tensor.set_names({"out"})
    ov.save_model(made, folder / "model.xml", compress_to_fp16=False)
    return _file("model.xml", example)


def _file(name: str, example: Any) -> GraphFile:
    return GraphFile(
        *(name, "main", (TensorSpec("in", tuple(example.shape)),), (TensorSpec("out", (1, 1000)),), "executed")
    )


_VENDORS: dict[str, Callable[[Any, Any, Path], GraphFile]] = {
    "onnx": _stock_onnx,
    "litert": _stock_litert,
    "openvino": _stock_openvino,
}


def timed(format_name: str, folder: Path, threads: int, clock: str) -> float:
    """Return the median milliseconds of one run, in a process that does nothing else."""
    from edgevit.runtime.engines import EngineOptions, load_engine, run_batch

    graph = _graph(folder / "graph.json")
    engine = load_engine(FORMATS[format_name].engine, folder / graph.file, graph, EngineOptions(threads=threads))
    tensor = np.random.default_rng(0).standard_normal(graph.inputs[0].shape).astype(np.float32)
    return 1e3 * float(np.median(_times(lambda: run_batch(engine, graph, tensor), clock)))


def peak_per_s(threads: int, clock: str) -> float:
    """Return how many multiplications ONNX Runtime's product of matrices does in a second, at best."""
    import onnx
    import onnxruntime

    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, matrix.shape) for name in "xy")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "product", [x], [y], [onnx.numpy_helper.from_array(matrix, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return float(SIDE**3 / min(_times(lambda: session.run(None, {"x": matrix}), clock)))


def _times(work: Callable[[], object], clock: str) -> list[float]:
    now = time.perf_counter if clock == "wall" else time.process_time
    times = []
    for _ in range(WARM + RUNS):
        began = now()
        work()
        times.append(now() - began)
    return times[WARM:]


def _graph(path: Path) -> GraphFile:
    told = json.loads(path.read_text())
    inputs, outputs = (
        tuple(TensorSpec(t["name"], tuple(t["shape"]), t["dtype"]) for t in told[k]) for k in ("inputs", "outputs")
    )
    return GraphFile(told["file"], told["entry"], inputs, outputs, "executed")


if __name__ == "__main__":
    main()
