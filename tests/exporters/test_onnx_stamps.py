"""An ONNX file carries no newer version than it needs, and its manifest asks for no older runtime than reads it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import small_nets
from onnx import TensorProto, helper

import edgevit
from edgevit.exporters.onnx import DEFAULT_OPSET, OPSETS
from edgevit.exporters.onnx_stamps import domains, oldest_runtime, stamp
from edgevit.formats import FORMATS, older
from edgevit.models import ModelDef

IR_OF_RUNTIME = {"1.16": 9, "1.17": 9, "1.18": 10}
"""ONNX Runtime's page "Compatibility"."""


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


def model_of(opset: int, *others: str, ir_version: int = 13) -> Any:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", [x], [y])
    opsets = [helper.make_opsetid(domain, 5 if domain else opset) for domain in ("", *others)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (18, 8), (20, 9), (21, 10), (23, 11)])
def test_a_file_gets_the_oldest_ir_version_that_holds_its_opset(opset: int, ir_version: int) -> None:
    model = model_of(opset)
    assert stamp(onnx, model) == opset
    assert model.ir_version == ir_version
    onnx.checker.check_model(model)
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_an_ir_version_is_never_raised() -> None:
    model = model_of(18, ir_version=7)
    stamp(onnx, model)
    assert model.ir_version == 7


def test_sets_of_operators_that_nobody_uses_go_and_those_in_use_stay() -> None:
    model = model_of(20, "ai.onnx.ml", "com.microsoft", "org.pytorch.aten")
    inner = helper.make_graph([helper.make_node("Mystery", [], ["z"], domain="com.microsoft")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))
    assert stamp(onnx, model) == 20
    assert [entry.domain for entry in model.opset_import] == ["", "com.microsoft"]
    assert set(domains(model.graph)) == {"", "com.microsoft"}


def test_a_function_of_the_file_keeps_what_it_uses_and_its_ir_version() -> None:
    model = model_of(18, "ours", "inside", ir_version=10)
    body = [helper.make_node("Mystery", ["x"], ["y"], domain="inside")]
    model.functions.append(helper.make_function("ours", "f", ["x"], ["y"], body, list(model.opset_import)))
    model.graph.node[0].domain = "ours"
    stamp(onnx, model)
    assert [entry.domain for entry in model.opset_import] == ["", "ours", "inside"]
    assert model.ir_version == 10


def test_a_newer_opset_never_asks_for_an_older_runtime() -> None:
    asked = [oldest_runtime(opset) for opset in range(OPSETS[0], OPSETS[1] + 1)]
    assert not any(older(after, before) for before, after in itertools.pairwise(asked))
    assert asked[0] == FORMATS["onnx"].engine_minimum
    assert oldest_runtime(20) == "1.17"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("device", "opset", "runtime"), [(None, DEFAULT_OPSET, "1.17"), ("pixel-8", 18, "1.16")])
def test_an_export_is_read_by_the_runtime_that_its_manifest_names(
    small: ModelDef, tmp_path: Path, precision: str, device: str | None, opset: int, runtime: str
) -> None:
    bundle = edgevit.export(small, format="onnx", precision=precision, device=device, out=tmp_path / "b")
    model = onnx.load(bundle.graph_file())
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == opset
    assert {entry.domain for entry in model.opset_import} == set(domains(model.graph))
    assert bundle.manifest.engine["minimum"] == runtime
    assert model.ir_version <= IR_OF_RUNTIME[runtime]
