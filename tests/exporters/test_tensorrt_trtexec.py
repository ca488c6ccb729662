"""The trtexec command that an exported file carries says to its builder what edgevit's own builder would say."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import small_nets
from onnx import TensorProto, helper

from edgevit.devices import load_device
from edgevit.exporters import tensorrt
from edgevit.exporters.pictures import built_in
from edgevit.exporters.recipe import Job
from edgevit.exporters.tensorrt_ops import parser_table
from edgevit.exporters.tensorrt_trtexec import MOST_ROWS, trtexec_line
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS, FP32_NODE
from edgevit.runtime.engines import tensorrt_build


def converted(folder: Path, precision: str, device: str | None, *, dynamic: bool = False) -> tuple[dict[str, Any], Any]:
    """Return the notes and the file of a small net."""
    model = small_nets.model_def()
    facts = load_device(device) if device else None
    calibration = built_in(model.spec, most=8, split="calibration") if precision == "int8" else None
    opset = facts.minimum.opset if facts else None
    job = Job(FORMATS["tensorrt"], precision, model.spec, folder, dynamic=dynamic, opset=opset, model="small")
    job = replace(job, calibration=calibration, device=facts)
    made = tensorrt.convert(trace("main", model.graphs["main"], "tensorrt", batch=1, dynamic=dynamic), job)
    return dict(made.notes), onnx.load(folder / made.file)


def flags(line: str) -> dict[str, str]:
    """Take a command apart as trtexec does: by spaces, then at the first equals sign."""
    first, *words = shlex.split(line)
    assert first == "trtexec"
    assert all(word.startswith("--") for word in words)
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def spec(text: str) -> dict[str, str]:
    """Take a list of layers apart as trtexec does: at commas, then at the colon."""
    return dict(entry.split(":") for entry in text.split(","))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_where_types_are_kept_one_flag_says_it_all(tmp_path: Path, precision: str) -> None:
    notes, _ = converted(tmp_path, precision, "jetson-orin-nano")
    assert set(flags(notes["trtexec"])) == {"--onnx", "--noTF32", "--stronglyTyped", "--saveEngine"}
    assert notes["typing"] == "strong"


def test_tensorrt_8_is_told_every_layer_that_keeps_float32(tmp_path: Path) -> None:
    notes, model = converted(tmp_path, "fp16", "jetson-agx-xavier")
    found = flags(notes["trtexec"])
    assert found["--precisionConstraints"] == "obey"
    assert "--fp16" in found
    islands = {n.name for n in model.graph.node if n.name.startswith(FP32_NODE)}
    assert islands
    assert spec(found["--layerPrecisions"]) == dict.fromkeys(islands, "fp32")
    assert spec(found["--layerOutputTypes"]) == dict.fromkeys(islands, "fp32")
    assert "bound to float32" in notes["typing"]


@pytest.mark.parametrize(("precision", "flag"), [("fp32", None), ("int8", "--int8")])
def test_tensorrt_8_is_told_nothing_else_of_the_rest(tmp_path: Path, precision: str, flag: str | None) -> None:
    notes, _ = converted(tmp_path, precision, "jetson-agx-xavier")
    assert set(flags(notes["trtexec"])) - {flag} == {"--onnx", "--noTF32", "--saveEngine"}
    assert "constraint" not in notes["typing"]  # nothing binds a layer of these


def test_a_trtexec_that_binds_no_layers_gets_no_fp16_command(tmp_path: Path) -> None:
    notes, _ = converted(tmp_path, "fp16", "jetson-nano")
    assert notes["trtexec"].startswith("none:")
    assert "--precision fp32" in notes["trtexec"]
    assert load_device("jetson-nano").prefer.precision == "fp32"
    assert set(flags(converted(tmp_path, "fp32", "jetson-nano")[0]["trtexec"])) == {
        "--onnx",
        "--noTF32",
        "--saveEngine",
    }


def test_a_batch_that_varies_has_its_range_in_the_command(tmp_path: Path) -> None:
    notes, _ = converted(tmp_path, "fp32", None, dynamic=True)
    found = flags(notes["trtexec"])
    assert [found[f"--{word}Shapes"] for word in ("min", "opt", "max")] == [
        *("image:1x3x32x32", "image:1x3x32x32", "image:8x3x32x32")
    ]
    assert MOST_ROWS == tensorrt_build.MOST_ROWS


def test_layers_of_whole_numbers_are_left_alone_and_each_output_has_its_type() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], f"{FP32_NODE}shape"),
        helper.make_node("Split", ["x"], ["a", "b"], f"{FP32_NODE}split", axis=1, num_outputs=2),
        helper.make_node("Add", ["a", "b"], ["y"], "sum"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, w]) for n, w in (("x", 4), ("y", 2))]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 18)]
    )
    found = flags(trtexec_line(onnx, model, "model.onnx", "fp16", parser_table("8.5")))
    assert found["--layerPrecisions"] == f"{FP32_NODE}split:fp32"
    assert found["--layerOutputTypes"] == f"{FP32_NODE}split:fp32+fp32"
