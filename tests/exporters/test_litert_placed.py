"""What LiteRT's converter makes of each family: files that a phone's GPU and XNNPACK take whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_files import Node, Tensor, constant, save

import edgevit
from edgevit.devices import load_device
from edgevit.exporters import litert
from edgevit.exporters.placement import Placement, place_files
from edgevit.exporters.placement.tflite_file import operators_of
from edgevit.exporters.recipe import Job
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.models import ModelDef
from edgevit.registry import SMALLEST
from edgevit.runtime.engines import EngineOptions
from edgevit.runtime.engines.litert import load

REFUSED = {"GATHER_ND", "BROADCAST_TO"}


def made(model: ModelDef, folder: Path) -> dict[str, tuple[Path, GraphFile]]:
    """Convert a model at batch one: precision -> file. The slow converter runs once, as all of them begin with it."""
    traced = trace("main", model.graphs["main"], "litert", batch=1, dynamic=False)
    job = Job(FORMATS["litert"], "fp32", model.spec, folder, model=model.name)
    converted = litert.convert(traced, job)
    graph = GraphFile(converted.file, "main", converted.inputs, converted.outputs, "executed")
    files = {"fp32": (folder / converted.file, graph)}
    for precision in ("fp16", "int8"):
        path = folder / f"{precision}.tflite"
        shutil.copy(folder / converted.file, path)
        litert._shrink(path, traced, replace(job, precision=precision))
        files[precision] = (path, graph)
    return files


def placed(made_: tuple[Path, GraphFile], precision: str, device: str) -> Placement:
    return place_files("litert", precision, {"main": made_}, device=load_device(device))


def highest_rank(path: Path, graph: GraphFile) -> int:
    engine = load(path, graph, EngineOptions(threads=1))
    nodes = [n for n in engine.interpreter._get_ops_details() if n["op_name"] != "DELEGATE"]
    operators = operators_of(engine.interpreter, nodes, path)
    return max(len(value.shape) for op in operators for value in (*op.inputs, *op.outputs))


def check(model: ModelDef, folder: Path) -> None:
    for precision, file in made(model, folder).items():
        phone = placed(file, precision, "pixel-8")
        graphics = phone.views[1]
        assert graphics.decides
        assert not phone.falls_back, (precision, phone.sentence())
        assert graphics.places() == {"GPU": len(graphics.ops)}
        assert not REFUSED & {op.kind for op in graphics.ops}
        assert highest_rank(*file) <= 4
        board = placed(file, precision, "raspberry-pi-5")
        assert not board.falls_back, (precision, board.sentence())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_model_runs_whole_on_a_gpu_and_on_xnnpack(tmp_path: Path) -> None:
    check(edgevit.create_model("shvit_shapes"), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [*SMALLEST, "timm/deit_tiny_patch16_224"],
)
def test_each_family_runs_whole_on_a_gpu_and_on_xnnpack(name: str, tmp_path: Path) -> None:
    check(edgevit.create_model(name, "random"), tmp_path)


BOX = st.tuples(st.integers(1, 3), st.integers(3, 5), st.sampled_from([32, 64]), st.sampled_from([32, 128]))


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(BOX)
def test_int8_is_for_layers_of_many_weights(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[int, int, int, int]
) -> None:
    """A convolution of few weights stays in float, so does a depthwise one of any size; no calibration is asked for."""
    from ai_edge_quantizer import quantizer

    batch, side, inside, outside = drawn
    path = tmp_path_factory.mktemp("int8") / "model.tflite"
    kernel = constant([[[[0.5] * inside]]] * outside, "float32")
    depth = constant([[[[0.25] * outside] * 9] * 9], "float32")
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    zeros = constant([0.0] * outside, "float32")
    nodes = [
        Node("CONV_2D", ("x", "w", "b"), ("a",), "Conv2DOptions", options),
        Node("DEPTHWISE_CONV_2D", ("a", "d", "b"), ("y",), "DepthwiseConv2DOptions", {**options, "depthMultiplier": 1}),
    ]
    image, answer = Tensor((batch, side, side, inside)), Tensor((batch, side, side, outside))
    graph = save(path, nodes, {"x": image, "w": kernel, "b": zeros, "d": depth, "a": answer, "y": answer}, ["y"])
    made_ = quantizer.Quantizer(str(path))
    made_.load_quantization_recipe(litert.int8_recipe())
    assert not made_.need_calibration
    small = path.with_name("small.tflite")
    made_.quantize().export_model(str(small))
    engine = load(small, graph, EngineOptions(threads=1))
    nodes_ = [n for n in engine.interpreter._get_ops_details() if n["op_name"] != "DELEGATE"]
    weights = {op.kind: op.inputs[1].dtype for op in operators_of(engine.interpreter, nodes_, small)}
    assert weights == {
        "CONV_2D": "int8" if inside * outside >= 4096 else "float32",
        "DEPTHWISE_CONV_2D": "float32",
    }
