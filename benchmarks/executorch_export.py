"""Time how long an export to ExecuTorch takes, ExecuTorch's stock recipe against ours, and what the files are worth.

    python -m benchmarks.executorch_export [--models mobilevit_xxs …] [--rounds 3]

Every round makes each file once, in turn, one process a file, on one thread; the seconds are the processor's own, so
that a busy machine disturbs little, and start behind the imports. The stock recipe is the one of ExecuTorch's pages:
``to_edge_transform_and_lower(torch.export.export(module, inputs), partitioner=[XnnpackPartitioner()])``.
Both files then run in turn, one process each. All figures are medians; "off" is the
largest error against torch on one picture.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgevit.registry import SMALLEST

WAYS = ("stock", "ours")
RUNS = 40


def stock(name: str, path: Path) -> float:
    """Export by the stock recipe and return the seconds."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export import export

    from edgevit.models import create_model

    graph = create_model(name, "random").graphs["main"]
    module, example = graph.module.eval(), graph.example(1)
    began = time.process_time()
    edge = to_edge_transform_and_lower(export(module, example), partitioner=[XnnpackPartitioner()])
    path.write_bytes(edge.to_executorch().buffer)
    return time.process_time() - began


def ours(name: str, path: Path) -> float:
    """Export as edgevit does, rewrites and tracing included, and return the seconds."""
    import executorch.exir  # noqa: F401  # the stock recipe's imports are not counted either

    from edgevit.exporters import executorch as exporter
    from edgevit.exporters.recipe import Job
    from edgevit.exporters.trace import trace
    from edgevit.formats import FORMATS
    from edgevit.models import create_model

    model = create_model(name, "random")
    began = time.process_time()
    traced = trace("main", model.graphs["main"], "executorch", batch=1, dynamic=False)
    made = exporter.convert(traced, Job(FORMATS["executorch"], "fp32", model.spec, path.parent, model=name))
    took = time.process_time() - began
    (path.parent / made.file).rename(path)
    return took


def run(name: str, path: Path) -> dict[str, Any]:
    """Run a file on one picture and on one thread: the error, the milliseconds, and what was delegated."""
    import numpy as np
    import torch

    from edgevit.exporters.pictures import built_in
    from edgevit.manifest import GraphFile
    from edgevit.models import create_model
    from edgevit.runtime.engines import EngineOptions, load_engine
    from edgevit.runtime.engines.executorch_file import read_contents

    model = create_model(name, "random")
    graph = model.graphs["main"]
    image = next(iter(built_in(model.spec, most=1, split="test").tensors(model.spec.image)))
    with torch.no_grad():
        wanted = graph.module.eval()(torch.from_numpy(image)).numpy()
    promised = GraphFile(path.name, "main", tuple(graph.inputs), tuple(graph.outputs), "executed")
    engine = load_engine("executorch", path, promised, EngineOptions(threads=1))
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        got = engine.run({graph.inputs[0].name: image})[graph.outputs[0].name]
        times.append(1e3 * (time.perf_counter() - began))
    contents = read_contents(path)
    plain = sum(contents.plain().values())
    return {
        "ms": statistics.median(times),
        "off": float(np.abs(got - wanted).max() / np.abs(wanted).max()),
        "delegates": len(contents.delegates),
        "plain": plain,
        "inside": sum(contents.operators.values()) - plain,
    }


def apart(*words: str) -> Any:
    """Do one step in a process of its own and return what it answers."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.executorch_export", "--step", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, rounds: int, folder: Path) -> None:
    """Print the rows of one model."""
    files = {way: folder / way / "file.pte" for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            files[way].parent.mkdir(exist_ok=True)
            seconds[way].append(apart(way, name, str(files[way])))
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(apart("run", name, str(files[way])))
    cost = {way: statistics.median(values) for way, values in seconds.items()}
    quick = {way: statistics.median(f["ms"] for f in values) for way, values in found.items()}
    for way in WAYS:
        last = found[way][-1]
        cells = (
            *(name, way, f"{cost[way]:.1f}", f"{cost[way] / cost['stock']:.2f}"),
            *(str(last["delegates"]), str(last["inside"]), str(last["plain"])),
            *(f"{quick[way]:.2f}", f"{quick[way] / quick['stock']:.2f}", f"{last['off']:.1e}"),
        )
        print("|", " | ".join(cells), "|", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(SMALLEST))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", nargs=3, metavar=("WHAT", "MODEL", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        what, name, file = arguments.step
        steps = {"stock": stock, "ours": ours, "run": run}
        print(json.dumps(steps[what](name, Path(file))))
        return
    print("| model | recipe | s | ratio | delegates | operators in them | plain kernels | ms | ratio | off |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
