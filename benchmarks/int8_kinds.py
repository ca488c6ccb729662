"""Compare the kinds of int8 that each format has, on the shipped model: what exporters/quantize.py chose, and why.

Accuracy on held-out renders, all model files and latency as ratios to the same format in fp32. One process an engine
would be fairer to the milliseconds (edgevit bench); the ratios here are of one session, the kinds taking turns.

    python -m benchmarks.int8_kinds [--count 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from edgevit.errors import EdgevitError
from edgevit.exporters import EXPORTERS, quantize
from edgevit.exporters.pictures import built_in
from edgevit.exporters.quiet import quiet
from edgevit.exporters.recipe import Converted, Job, Traced
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS
from edgevit.kernels import normalise
from edgevit.manifest import GraphFile
from edgevit.models import create_model
from edgevit.runtime.engines import Engine, EngineOptions, load_engine, run_batch

ROUNDS = 40
Pixels = npt.NDArray[np.uint8]


def onnx_kinds() -> dict[str, dict[str, Any]]:
    """Return the ways of ONNX Runtime's static quantiser, as changes to the default."""
    from onnxruntime.quantization import CalibrationMethod, QuantType

    return {
        "static u8s8, min-max": {},
        "static s8s8, min-max": {"activation_type": QuantType.QInt8},
        "static u8s8, reduced range": {"reduce_range": True},
        "static u8s8, percentile": {"calibrate_method": CalibrationMethod.Percentile},
        "static u8s8, conv gemm matmul": {"op_types_to_quantize": ["Conv", "Gemm", "MatMul"]},
    }


def openvino_kinds() -> dict[str, dict[str, Any]]:
    """Return the ways of NNCF, as changes to the default."""
    import nncf

    return {
        "static mixed, no smoothing": {},
        "static mixed, smoothing": {"advanced_parameters": None},
        "static symmetric, no smoothing": {"preset": nncf.QuantizationPreset.PERFORMANCE},
        "static mixed, not as a transformer": {"model_type": None},
    }


def litert_kinds() -> dict[str, Any]:
    """Return the recipes of ai-edge-quantizer."""
    from ai_edge_quantizer import recipe

    return {
        "dynamic range, large layers": EXPORTERS.load("litert").int8_recipe(),
        "dynamic range": recipe.dynamic_wi8_afp32(),
        "weights only": recipe.weight_only_wi8_afp32(),
        "static, 8-bit activations": recipe.static_wi8_ai8(),
    }


@contextlib.contextmanager
def chosen(name: str, kind: str) -> Iterator[None]:
    """Make one kind the format's default for a while."""
    exporter = EXPORTERS.load(name)
    if name == "litert":
        with mock.patch.object(exporter, "int8_recipe", return_value=litert_kinds()[kind]):
            yield
        return
    options = {**exporter.static_options(), **KINDS[name]()[kind]}
    with mock.patch.object(exporter, "static_options", return_value=options):
        yield


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "onnx": onnx_kinds,
    "litert": litert_kinds,
    "openvino": openvino_kinds,
}


def measure(name: str, kind: str, made: Converted, job: Job, pixels: Pixels, truth: list[int]) -> tuple[str, ...]:
    """Return a row: accuracy, size, milliseconds."""
    graph = GraphFile(made.file, "main", made.inputs, made.outputs, "executed")
    engine = load_engine(FORMATS[name].engine, job.folder / made.file, graph, EngineOptions(threads=1))
    image = replace(job.spec.image, layout=made.layout)
    right = 0
    for picture, label in zip(pixels, truth, strict=True):
        right += int(run_batch(engine, graph, normalise(picture, image))[0].argmax()) == label
    size = sum(file.stat().st_size for file in job.folder.iterdir())
    return name, kind, f"{right / len(truth):.2%}", f"{size / 1e6:.3f}", f"{timed(engine, graph, pixels[0], image):.2f}"


def timed(engine: Engine, graph: GraphFile, picture: Pixels, image: Any) -> float:
    """Return the median milliseconds of one run."""
    tensor, times = normalise(picture, image), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run_batch(engine, graph, tensor)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times))


def row(name: str, kind: str, traced: Traced, job: Job, pixels: Pixels, truth: list[int]) -> tuple[str, ...]:
    """Export one kind into a folder of its own and measure it; a converter that gives up is a row too."""
    with tempfile.TemporaryDirectory() as folder:
        this = replace(job, precision="fp32" if kind == "fp32" else "int8", folder=Path(folder))
        with chosen(name, kind) if kind != "fp32" else contextlib.nullcontext(), quiet():
            try:
                made = EXPORTERS.load(name).convert(traced, this)
            except EdgevitError as exc:
                return name, kind, str(exc).splitlines()[0][:80], "", ""
        return measure(name, kind, made, this, pixels, truth)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--format", choices=sorted(KINDS))
    arguments = parser.parse_args()
    model = create_model("shvit_shapes")
    test = built_in(model.spec, most=arguments.count, split="test")
    pixels = np.stack(list(test.pixels(model.spec.image)))
    with quiet():
        graph = model.graphs["main"]
        traced = {name: trace("main", graph, name, batch=1, dynamic=False) for name in KINDS}
    calibration = built_in(model.spec, most=quantize.CALIBRATION_COUNT, split="calibration")
    print("| format | kind | accuracy | MB | ms |\n|---|---|---|---|---|")
    for name in [arguments.format] if arguments.format else sorted(KINDS):
        job = Job(FORMATS[name], "int8", model.spec, Path(), calibration=calibration, model=model.name)
        for kind in ["fp32", *KINDS[name]()]:
            print("|", " | ".join(row(name, kind, traced[name], job, pixels, list(test.truth or ()))), "|", flush=True)


if __name__ == "__main__":
    main()
