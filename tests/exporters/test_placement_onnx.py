"""What ONNX Runtime makes of a file, and what the rules of TensorRT's parser say of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnx_files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgevit.devices import load_device
from edgevit.errors import BundleError, EngineError, UnsupportedError
from edgevit.exporters.placement import Op, Placement, place_files
from edgevit.exporters.placement.onnx_file import Graph, Node, read_graph
from edgevit.exporters.placement.onnx_fusion import constant_nodes, homes_of
from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec

SIZE = 8


def graph(size: int = SIZE) -> GraphFile:
    inputs = (TensorSpec("image", (-1, 3, size, size)),)
    return GraphFile("model.onnx", "main", inputs, (TensorSpec("logits", (-1, 3)),), "executed")


def placed(path: Path, **more: str) -> Placement:
    return place_files("onnx", "fp32", {"main": (path, graph())}, **more)  # type: ignore[arg-type]


def named(placement: Placement) -> dict[str, Op]:
    return {op.name: op for op in placement.views[0].ops}


def fusing(path: Path) -> Path:
    """Write convolution, activation, a product after a transpose, and a node of constants alone."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(rng.normal(size=(16, 3, 3, 3)).astype(np.float32), "kernel"),
        numpy_helper.from_array(rng.normal(size=(16, 3)).astype(np.float32), "weights"),
        numpy_helper.from_array(np.float32(2), "two"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["wide"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["wide"], ["positive"], name="relu"),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("Mul", ["weights", "two"], ["doubled"], name="double"),
        helper.make_node("MatMul", ["flat", "doubled"], ["logits"], name="product"),
    ]
    return onnx_files.save(path, nodes, tensors)


def test_fusions_and_what_is_computed_beforehand_are_told(tmp_path: Path) -> None:
    placement = placed(fusing(tmp_path / "model.onnx"))
    found = named(placement)
    assert placement.views[0].basis == "executed"
    assert found["relu"].why.startswith("runs as ")
    assert "Conv" in found["relu"].why
    assert (found["double"].where, found["double"].why) == ("nowhere", "computed once, when the file is opened")
    assert {found[name].where for name in ("conv", "relu", "product")} == {"CPU"}
    assert not placement.falls_back


def test_another_provider_that_leaves_nodes_falls_back(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    other = [p for p in ort.get_available_providers() if p == "AzureExecutionProvider"]
    if not other:
        pytest.skip("this ONNX Runtime has no second provider that takes no node")
    placement = placed(fusing(tmp_path / "model.onnx"), provider="azure")
    assert placement.falls_back
    assert {op.where for op in placement.fallbacks} == {"CPU"}
    (view,) = placement.views
    added = [op for op in view.ops if op.why.startswith("added by ONNX Runtime")]
    assert added, "ONNX Runtime lays the picture out anew around this convolution"
    assert all(op.falls_back for op in added), "what the CPU runs falls back, whoever put it there"
    assert {op.why for op in placement.fallbacks} == {"Azure did not take it", "added by ONNX Runtime, outside Azure"}
    assert "will not run on Azure" in placement.sentence()
    assert not placed(fusing(tmp_path / "model.onnx"), provider="cpu").falls_back


def test_a_provider_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no provider 'warp'; it has .*cpu"):
        placed(fusing(tmp_path / "model.onnx"), provider="warp")


def test_an_int8_file_tells_which_products_run_in_whole_numbers(tmp_path: Path) -> None:
    one = numpy_helper.from_array(np.float32(0.05), "scale")
    zero = numpy_helper.from_array(np.uint8(128), "zero")
    kernel = numpy_helper.from_array(np.full((4, 3, 3, 3), 3, np.int8), "kernel8")
    zero8 = numpy_helper.from_array(np.int8(0), "zero8")
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], name="dequantise"),
        helper.make_node("DequantizeLinear", ["kernel8", "scale", "zero8"], ["k"], name="weights"),
        helper.make_node("Conv", ["d", "k"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["cq"], name="requantise"),
        helper.make_node("DequantizeLinear", ["cq", "scale", "zero"], ["cd"], name="back"),
        helper.make_node("ReduceMean", ["cd", "axes"], ["logits"], name="mean", keepdims=0),
    ]
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    path = onnx_files.save(tmp_path / "model.onnx", nodes, [one, zero, kernel, zero8, axes], classes=4)
    found = named(placed(path))
    assert found["conv"].why == "runs as QLinearConv"
    assert found["requantise"].why == "runs as QLinearConv"
    assert found["weights"].why in ("runs as QLinearConv", "computed once, when the file is opened")
    assert found["mean"].why == ""


def test_a_file_that_does_not_open_is_an_engine_error(tmp_path: Path) -> None:
    path = onnx_files.save(tmp_path / "model.onnx", [helper.make_node("Relu", ["nothing"], ["logits"])], [])
    with pytest.raises(EngineError, match="ONNX Runtime"):
        placed(path)


NAMES = st.text("abcdefgh_/.", min_size=1, max_size=8)
NODES = st.lists(
    st.tuples(
        st.sampled_from(["Add", "Conv", "MatMul"]),
        NAMES,
        st.lists(NAMES, max_size=3),
        st.lists(NAMES, min_size=1, max_size=3),
    ),
    max_size=8,
)


@given(NODES, st.lists(NAMES, max_size=4))
def test_the_reader_of_onnx_files_reads_what_onnx_wrote(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, list[str], list[str]]], constants: list[str]
) -> None:
    path = tmp_path_factory.mktemp("read") / "model.onnx"
    nodes = [helper.make_node(kind, ins, outs, name=name) for kind, name, ins, outs in drawn]
    tensors = [numpy_helper.from_array(np.arange(3, dtype=np.float32), name) for name in constants]
    made = helper.make_graph(nodes, "g", [], [], tensors)
    onnx.save(helper.make_model(made), path)
    read = read_graph(path)
    assert read.constants == frozenset(constants)
    assert [(n.kind, n.name, list(n.inputs), list(n.outputs)) for n in read.nodes] == drawn


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = onnx_files.mean_classifier(folder / "model.onnx")
    path.write_bytes(path.read_bytes()[:cut] + junk)
    with contextlib.suppress(BundleError):  # any other error is a fault of the reader
        assert isinstance(read_graph(path), Graph)


def test_what_was_changed_beyond_recognition_is_said_to_be_gone() -> None:
    file = Graph(
        (
            Node("Reshape", "r", ("x", "shape"), ("a",)),
            Node("Softmax", "s", ("a",), ("y",)),
            Node("Shape", "c", ("shape",), ("unused",)),
        ),
        frozenset({"shape"}),
    )
    made = Graph((Node("Softmax", "s", ("x",), ("y",)),), frozenset())
    homes = homes_of(file, made)
    assert ("a",) not in homes  # its one reader runs as it was, so nothing says that the reshape became part of it
    assert homes[("y",)].name == "s"
    assert constant_nodes(file) == {("unused",)}


def tensorrt(path: Path, device: str | None = None, **notes: str) -> Placement:
    found = load_device(device) if device else None
    return place_files("tensorrt", "fp32", {"main": (path, graph())}, device=found, notes=notes)


def swish(path: Path) -> Path:
    nodes = [
        helper.make_node("HardSwish", ["image"], ["a"], name="swish"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"], name="pool"),
        helper.make_node("Flatten", ["b"], ["logits"], name="flatten"),
    ]
    return onnx_files.save(path, nodes, [])


def test_an_operator_that_came_later_is_refused_by_an_old_parser_and_taken_by_a_new_one(tmp_path: Path) -> None:
    path = swish(tmp_path / "model.onnx")
    old, new = tensorrt(path, "jetson-nano"), tensorrt(path, "jetson-orin-nano")
    assert [(op.kind, op.where, op.why) for op in old.fallbacks] == [
        ("HardSwish", "nowhere", "its parser takes HardSwish from 8.5 on")
    ]
    assert {op.basis for op in old.views[0].ops} == {"rule"}
    assert not new.falls_back
    assert new.views[0].places() == {"TensorRT, GPU": 3}


def test_without_a_device_the_release_is_what_the_exporter_wrote_down(tmp_path: Path) -> None:
    path = swish(tmp_path / "model.onnx")
    assert not tensorrt(path).falls_back
    assert tensorrt(path, tensorrt="8.2.1 or newer").falls_back


def test_what_the_parser_takes_only_in_part_is_refused_with_the_part(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MaxPool", ["image"], ["a", "places"], name="pool", kernel_shape=[8, 8]),
        helper.make_node("Flatten", ["a"], ["logits"], name="flatten"),
    ]
    path = onnx_files.save(tmp_path / "model.onnx", nodes, [], output=TensorProto.FLOAT)
    (op,) = tensorrt(path).fallbacks
    assert (op.kind, op.name, op.why) == ("MaxPool", "pool", "it gives the places of the maxima")


def test_only_onnx_bundles_have_providers(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no providers"):
        place_files("tensorrt", "fp32", {"main": (swish(tmp_path / "model.onnx"), graph())}, provider="cpu")
