"""Where LiteRT's operators run: small real files, the real interpreter, and the rules of a GPU that is not here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_files import Node, Tensor, constant, save

from edgevit.devices import load_device
from edgevit.errors import BundleError
from edgevit.exporters.placement import Op, Placement, place_files
from edgevit.exporters.placement.litert import inside
from edgevit.exporters.placement.tflite_file import read_options
from edgevit.runtime.engines import EngineOptions
from edgevit.runtime.engines.litert import load

IMAGE = Tensor((1, 4, 4, 8))
HALVED = Tensor((1, 2, 2, 8))


def placed(
    folder: Path, nodes: list[Node], tensors: Mapping[str, Tensor], device: str | None = None, precision: str = "fp32"
) -> Placement:
    path = folder / "model.tflite"
    graph = save(path, nodes, {"x": IMAGE, **tensors}, [nodes[-1].outputs[-1]])
    found = load_device(device) if device else None
    return place_files("litert", precision, {"main": (path, graph)}, device=found)


def only(placement: Placement, view: int = 0) -> dict[str, Op]:
    """Return the operators of a view by their kind."""
    return {op.kind: op for op in placement.views[view].ops}


def absolute(source: str, made: str) -> Node:
    return Node("ABS", (source,), (made,), "AbsOptions")


def skipping(source: str, made: str) -> Node:
    """Return a slice with strides of two, which XNNPACK leaves."""
    return Node("STRIDED_SLICE", (source, "begin", "end", "strides"), (made,), "StridedSliceOptions", {"endMask": 15})


SKIPS = {"begin": constant([0, 0, 0, 0]), "end": constant([0, 0, 0, 0]), "strides": constant([1, 2, 2, 1])}


def test_an_operator_that_xnnpack_leaves_is_named_with_the_reason(tmp_path: Path) -> None:
    nodes = [absolute("x", "a"), skipping("a", "b"), absolute("b", "y")]
    placement = placed(tmp_path, nodes, {**SKIPS, "a": IMAGE, "b": HALVED, "y": HALVED})
    (view,) = placement.views
    assert view.places() == {"XNNPACK": 2, "LiteRT's own kernels": 1}
    assert view.basis == "executed"
    left = only(placement)["STRIDED_SLICE"]
    assert (left.falls_back, left.why, left.name) == (True, "its strides are not all 1", "#1")
    assert "1 STRIDED_SLICE will not run on XNNPACK" in placement.sentence()


def test_a_file_that_xnnpack_takes_whole_does_not_fall_back(tmp_path: Path) -> None:
    placement = placed(tmp_path, [absolute("x", "a"), absolute("a", "y")], {"a": IMAGE, "y": IMAGE})
    assert not placement.falls_back
    assert placement.sentence() == ""
    assert placement.views[0].places() == {"XNNPACK": 2}


def test_a_window_that_only_skips_pixels_is_left(tmp_path: Path) -> None:
    given_ = {"filterHeight": 1, "filterWidth": 1, "strideH": 2, "strideW": 2, "padding": 1}
    nodes = [Node("AVERAGE_POOL_2D", ("x",), ("y",), "Pool2DOptions", given_)]
    left = only(placed(tmp_path, nodes, {"y": HALVED}))["AVERAGE_POOL_2D"]
    assert left.falls_back
    assert "only skips pixels" in left.why


def test_computed_weights_are_left(tmp_path: Path) -> None:
    nodes = [
        Node("RESHAPE", ("x", "rows"), ("a",)),
        Node("FULLY_CONNECTED", ("a", "a"), ("y",), "FullyConnectedOptions"),
    ]
    tensors = {"rows": constant([16, 8]), "a": Tensor((16, 8)), "y": Tensor((16, 16))}
    left = only(placed(tmp_path, nodes, tensors))["FULLY_CONNECTED"]
    assert (left.falls_back, left.why) == (True, "its weights are computed; XNNPACK wants constants")


def test_8_bit_weights_under_float_activations_are_left_where_xnnpack_has_no_kernel(tmp_path: Path) -> None:
    kernel = constant(np.ones((1, 3, 3, 8)), "int8", (0.1,))
    given_ = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1}
    nodes = [Node("DEPTHWISE_CONV_2D", ("x", "w", "b"), ("y",), "DepthwiseConv2DOptions", given_, version=6)]
    tensors = {"w": kernel, "b": constant(np.zeros(8), "float32"), "y": IMAGE}
    left = only(placed(tmp_path, nodes, tensors, precision="int8"))["DEPTHWISE_CONV_2D"]
    assert left.falls_back
    assert left.why.startswith("8-bit weights and float activations")


def test_what_xnnpack_does_not_have_is_said_so(tmp_path: Path) -> None:
    nodes = [Node("CUMSUM", ("x", "axis"), ("y",), "CumsumOptions")]
    left = only(placed(tmp_path, nodes, {"axis": constant(1), "y": IMAGE}))["CUMSUM"]
    assert (left.falls_back, left.why) == (True, "XNNPACK has no such operator")


STEPS = ("abs", "negate", "cumsum", "add")


def _step(kind: str, at: int, sources: tuple[int, int]) -> Node:
    first, second = (f"t{n}" if n else "x" for n in sources)
    made = f"t{at}"
    if kind == "cumsum":
        return Node("CUMSUM", (first, "axis"), (made,), "CumsumOptions")
    if kind == "add":
        return Node("ADD", (first, second), (made,), "AddOptions")
    return Node("ABS" if kind == "abs" else "NEG", (first,), (made,), "AbsOptions" if kind == "abs" else "NegOptions")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=12))
def test_the_walk_finds_the_operators_whose_tensors_the_delegate_keeps(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, int]]
) -> None:
    """The oracle: inside a delegated part a tensor has no memory, and the interpreter says so when asked for it."""
    nodes = [_step(kind, at, (a % at, b % at)) for at, (kind, a, b) in enumerate(drawn, 1)]
    read = {name for node in nodes for name in node.inputs}
    ends = [node.outputs[0] for node in nodes if node.outputs[0] not in read]
    path = tmp_path_factory.mktemp("walk") / "model.tflite"
    tensors = {"x": IMAGE, "axis": constant(1), **{node.outputs[0]: IMAGE for node in nodes}}
    engine = load(path, save(path, nodes, tensors, ends), EngineOptions(threads=1))
    engine.run({"x": np.ones(IMAGE.shape, np.float32)})
    ops = engine.interpreter._get_ops_details()
    delegates = [op for op in ops if op["op_name"] == "DELEGATE"]
    plain = [op for op in ops if op["op_name"] != "DELEGATE"]
    taken = inside(plain, delegates)
    edges = {int(t) for op in delegates for t in op["outputs"]}
    for place, op in enumerate(plain):
        for tensor in map(int, op["outputs"]):
            assert _readable(engine.interpreter, tensor) == (place not in taken or tensor in edges)
    assert [node.kind for place, node in enumerate(nodes) if place not in taken].count("CUMSUM") == sum(
        node.kind == "CUMSUM" for node in nodes
    )


def _readable(interpreter: Any, tensor: int) -> bool:
    try:
        interpreter.get_tensor(tensor)
    except ValueError:
        return False
    return True


def gpu(folder: Path, nodes: list[Node], tensors: Mapping[str, Tensor]) -> dict[str, Op]:
    """Return what the rules of a phone's GPU say."""
    placement = placed(folder, nodes, tensors, "pixel-8")
    processor, graphics = placement.views
    assert (processor.decides, graphics.decides) == (False, True)
    assert graphics.basis == "rule"
    assert placement.fallbacks == graphics.fallbacks
    return only(placement, 1)


def test_the_gpu_takes_no_tensor_of_five_dimensions(tmp_path: Path) -> None:
    nodes = [Node("RESHAPE", ("x", "shape"), ("a",)), absolute("a", "y")]
    wide = Tensor((1, 2, 2, 4, 8))
    found = gpu(tmp_path, nodes, {"shape": constant(wide.shape), "a": wide, "y": wide})
    assert all(op.falls_back and "5 dimensions" in op.why for op in found.values())
    assert {op.where for op in found.values()} == {"CPU"}


def test_what_only_the_processor_leaves_does_not_count_on_a_phone_with_a_gpu(tmp_path: Path) -> None:
    nodes = [absolute("x", "a"), skipping("a", "y")]
    placement = placed(tmp_path, nodes, {**SKIPS, "a": IMAGE, "y": HALVED}, "pixel-8")
    assert [len(view.fallbacks) for view in placement.views] == [1, 0]
    assert not placement.falls_back
    assert placed(tmp_path, nodes, {**SKIPS, "a": IMAGE, "y": HALVED}, "raspberry-pi-5").falls_back


@pytest.mark.parametrize(
    ("node", "more", "why"),
    [
        (Node("ROUND", ("x",), ("y",)), {}, "no such operator"),
        (Node("CAST", ("x",), ("y",), "CastOptions"), {"y": Tensor(IMAGE.shape, "int64")}, "works on int64"),
        (
            Node("MUL", ("x", "k"), ("y",), "MulOptions"),
            {"x": Tensor((1, 4, 1, 8)), "k": constant(np.ones((1, 1, 4, 8)), "float32")},
            "each input is smaller",
        ),
        (
            Node("STRIDED_SLICE", ("x", "begin", "end", "ones"), ("y",), "StridedSliceOptions", {"shrinkAxisMask": 1}),
            {"begin": constant([0, 0, 0, 0]), "end": constant([1, 4, 4, 8]), "ones": constant([1, 1, 1, 1]),
             "y": Tensor((4, 4, 8))},
            "dropped axis",
        ),
        (
            Node("GATHER", ("x", "at"), ("y",), "GatherOptions", {"axis": 3}),
            {"at": constant([[0, 1], [2, 3]]), "y": Tensor((1, 4, 4, 2, 2))},
            "5 dimensions",
        ),
    ],
)  # fmt: skip
def test_the_gpu_refuses_by_its_rules(tmp_path: Path, node: Node, more: Mapping[str, Tensor], why: str) -> None:
    (found,) = gpu(tmp_path, [node], {"y": IMAGE, **more}).values()
    assert found.falls_back
    assert why in found.why


@pytest.mark.parametrize(
    "node",
    [absolute("x", "y"), Node("ADD", ("x", "k"), ("y",), "AddOptions"), Node("MUL", ("x", "k"), ("y",), "MulOptions")],
)
def test_the_gpu_takes_what_breaks_no_rule(tmp_path: Path, node: Node) -> None:
    (found,) = gpu(tmp_path, [node], {"k": constant(np.ones(8), "float32"), "y": IMAGE}).values()
    assert (found.where, found.why, found.falls_back) == ("GPU", "", False)


def test_a_file_that_is_no_tflite_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"TFL3 or not" * 3)
    with pytest.raises(BundleError, match="not a readable TFLite file"):
        read_options(path)
