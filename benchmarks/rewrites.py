"""Compare timm's modules as they are with the rewritten ones: equality in torch, speed in each format's own engine.

Stock is the conversion of timm's module as ``create_model`` gives it, nothing fused. Both files are made by the same
exporter and run by the same engine, one process a measurement, the two taking turns; the gain is the ratio of the
medians of those processes. ``--clock cpu`` counts the processor time of the process instead of the time on the wall:
for one thread on a machine that has other work too.

    python -m benchmarks.rewrites --model mobilevit_s --format onnx --format litert [--threads 1] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgevit.errors import EdgevitError
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
KINDS = ("stock", "rewritten")


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, or be one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--format", action="append", choices=sorted(FORMATS), help="default: onnx, litert, openvino")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--make", nargs=3, metavar=("MODEL", "FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--time", nargs=2, metavar=("FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.make:
        made = make(asked.make[0], asked.make[1], Path(asked.make[2]))
        print(json.dumps(made))
    elif asked.time:
        print(timed(asked.time[0], Path(asked.time[1]), asked.threads, asked.clock))
    else:
        names, formats = asked.model or MODELS, asked.format or ("onnx", "litert", "openvino")
        print(f"| model | format | max difference | stock, ms | rewritten, ms | gain ({asked.threads} t) |")
        print("|---|---|---|---|---|---|")
        for name in names:
            for format_name in formats:
                row = compare(name, format_name, asked.rounds, asked.threads, asked.clock)
                print("|", " | ".join((name, format_name, *row)), "|", flush=True)


def compare(name: str, format_name: str, rounds: int, threads: int, clock: str) -> tuple[str, ...]:
    """Return the rest of a row."""
    with tempfile.TemporaryDirectory() as folder:
        told = json.loads(_process("--make", name, format_name, folder).splitlines()[-1])
        times: dict[str, list[float]] = {kind: [] for kind in KINDS if kind not in told["failed"]}
        for _ in range(rounds):
            for kind, taken in times.items():
                options = ("--threads", str(threads), "--clock", clock)
                taken.append(float(_process("--time", format_name, f"{folder}/{kind}", *options).splitlines()[-1]))
        medians = {kind: float(np.median(taken)) for kind, taken in times.items()}
        cells = [f"{medians[kind]:.2f}" if kind in medians else told["failed"][kind] for kind in KINDS]
        gain = f"{medians['stock'] / medians['rewritten']:.2f}" if len(medians) == 2 else ""
        return f"{told['difference']:.1e}", *cells, gain


def _process(*words: str) -> str:
    """Run this file again and return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rewrites", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def make(name: str, format_name: str, folder: Path) -> dict[str, object]:
    """Convert both kinds into folders of their own; a converter that gives up is told, not raised."""
    import torch

    from edgevit.exporters import EXPORTERS
    from edgevit.exporters.quiet import quiet
    from edgevit.exporters.recipe import Job
    from edgevit.exporters.trace import trace
    from edgevit.models import create_model

    model = create_model(name, "random")
    graph = model.graphs["main"]
    failed = {}
    with quiet():
        rewritten = trace("main", graph, format_name, batch=1, dynamic=False)
        stock = replace(
            rewritten, module=graph.module, program=torch.export.export(graph.module, rewritten.example, strict=False)
        )
    example = rewritten.example[0]
    with torch.no_grad():
        theirs, ours = graph.module(example), rewritten.module(example)
    for kind, traced in zip(KINDS, (stock, rewritten), strict=True):
        (folder / kind).mkdir()
        job = Job(FORMATS[format_name], "fp32", model.spec, folder / kind, model=name)
        try:
            with quiet():
                made = EXPORTERS.load(format_name).convert(traced, job)
        except EdgevitError as exc:
            failed[kind] = f"refused: {str(exc).splitlines()[0][:80]}"
            continue
        file = GraphFile(made.file, "main", made.inputs, made.outputs, "executed")
        (folder / kind / "graph.json").write_text(json.dumps(file.to_dict()))
    return {"difference": float((ours - theirs).abs().max() / theirs.abs().max()), "failed": failed}


def timed(format_name: str, folder: Path, threads: int, clock: str) -> float:
    """Return the median milliseconds of one run, in a process that does nothing else."""
    from edgevit.runtime.engines import EngineOptions, load_engine, run_batch

    graph = _graph(folder / "graph.json")
    engine = load_engine(FORMATS[format_name].engine, folder / graph.file, graph, EngineOptions(threads=threads))
    tensor = np.random.default_rng(0).standard_normal(graph.inputs[0].shape).astype(np.float32)
    now = time.perf_counter if clock == "wall" else time.process_time
    times = []
    for _ in range(WARM + RUNS):
        began = now()
        run_batch(engine, graph, tensor)
        times.append(1e3 * (now() - began))
    return float(np.median(times[WARM:]))


def _graph(path: Path) -> GraphFile:
    told = json.loads(path.read_text())
    inputs, outputs = (
        tuple(TensorSpec(t["name"], tuple(t["shape"]), t["dtype"]) for t in told[k]) for k in ("inputs", "outputs")
    )
    return GraphFile(told["file"], told["entry"], inputs, outputs, "executed")


if __name__ == "__main__":
    main()
