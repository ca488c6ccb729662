"""Compare the kinds of int8 that each format has, on the shipped model: what exporters/quantize.py chose, and why.

Accuracy on held-out renders; size of all model files and time as ratios to the same format in fp32, the kinds taking
turns on one thread each. Core ML, ExecuTorch and TensorRT have one kind each: what their devices run, so no choice.

    python -m benchmarks.int8_kinds [--count 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from edgevit.errors import EdgevitError
from edgevit.exporters import EXPORTERS, quantize
from edgevit.exporters.pictures import built_in
from edgevit.exporters.quiet import quiet
from edgevit.exporters.recipe import Job, Traced
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS
from edgevit.kernels import normalise
from edgevit.manifest import GraphFile
from edgevit.models import create_model
from edgevit.runtime.engines import Engine, EngineOptions, load_engine, run_batch
from edgevit.spec import ImageSpec

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


@dataclass(frozen=True)
class Kind:
    """Hold one file, open, with what it takes and weighs."""

    name: str
    engine: Engine
    graph: GraphFile
    image: ImageSpec
    size_bytes: int

    def answer(self, picture: Pixels) -> npt.NDArray[np.float32]:
        return run_batch(self.engine, self.graph, normalise(picture, self.image))


def opened(name: str, kind: str, traced: Traced, job: Job) -> Kind | str:
    """Export one kind into a folder of its own and open it; a converter that gives up is told, not raised."""
    job.folder.mkdir()
    with chosen(name, kind) if kind != "fp32" else contextlib.nullcontext(), quiet():
        try:
            made = EXPORTERS.load(name).convert(traced, job)
        except EdgevitError as exc:
            return str(exc).splitlines()[0][:80]
    graph = GraphFile(made.file, "main", made.inputs, made.outputs, "executed")
    engine = load_engine(FORMATS[name].engine, job.folder / made.file, graph, EngineOptions(threads=1))
    size_bytes = sum(file.stat().st_size for file in job.folder.iterdir())
    return Kind(kind, engine, graph, replace(job.spec.image, layout=made.layout), size_bytes)


def latencies_ms(kinds: list[Kind], picture: Pixels) -> dict[str, float]:
    """Return the median milliseconds of one run of each, the kinds taking turns."""
    tensors = [normalise(picture, kind.image) for kind in kinds]
    times: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, tensor in zip(kinds, tensors, strict=True):
            began = time.perf_counter()
            run_batch(kind.engine, kind.graph, tensor)
            times[kind.name].append(1e3 * (time.perf_counter() - began))
    return {name: float(np.median(taken)) for name, taken in times.items()}


def rows(name: str, traced: Traced, job: Job, pixels: Pixels, truth: list[int], folder: Path) -> Iterator[list[str]]:
    """Yield the rows of one format: those that gave up first."""
    kinds: list[Kind] = []
    for place, kind in enumerate(["fp32", *KINDS[name]()]):
        precision = "fp32" if kind == "fp32" else "int8"
        made = opened(name, kind, traced, replace(job, precision=precision, folder=folder / str(place)))
        if isinstance(made, str):
            yield [name, kind, made, "", ""]
        else:
            kinds.append(made)
    taken = latencies_ms(kinds, pixels[0])
    for made in kinds:
        right = sum(
            int(made.answer(picture)[0].argmax()) == label for picture, label in zip(pixels, truth, strict=True)
        )
        share = made.size_bytes / kinds[0].size_bytes
        time_share = taken[made.name] / taken[kinds[0].name]
        yield [name, made.name, f"{right / len(truth):.2%}", f"{share:.2f}", f"{time_share:.2f}"]


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
    print("| format | kind | accuracy | size / fp32's | time / fp32's |\n|---|---|---|---|---|")
    for name in [arguments.format] if arguments.format else sorted(KINDS):
        job = Job(FORMATS[name], "int8", model.spec, Path(), calibration=calibration, model=model.name)
        with tempfile.TemporaryDirectory() as folder:
            for cells in rows(name, traced[name], job, pixels, list(test.truth or ()), Path(folder)):
                print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
