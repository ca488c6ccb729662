from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_nets
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional

import edgevit
from edgevit.devices import load_device
from edgevit.errors import ConversionError, UnsupportedError
from edgevit.exporters import onnx as shared
from edgevit.exporters import tensorrt
from edgevit.exporters.onnx_floats import FloatGraph, plain
from edgevit.exporters.onnx_islands import MOST_SEEN, find_islands, holds
from edgevit.exporters.onnx_typing import halve
from edgevit.exporters.pictures import built_in
from edgevit.exporters.recipe import Job, Traced
from edgevit.exporters.tensorrt_ops import ParserTable, first_release_with, parser_table
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS, FP32_NODE
from edgevit.models import ModelDef

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
RELEASES = ("8.2", "8.4", "8.5", "8.6", "10.0", "10.1", "10.4", "10.5", "10.15")


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


@pytest.fixture(scope="module")
def traced(small: ModelDef) -> Traced:
    return trace("main", small.graphs["main"], "tensorrt", batch=1, dynamic=False)


def job(folder: Path, precision: str = "fp32", device: str | None = None, **changes: Any) -> Job:
    model = small_nets.model_def()
    facts = load_device(device) if device else None
    calibration = built_in(model.spec, most=8, split="calibration") if precision == "int8" else None
    opset = changes.pop("opset", facts.minimum.opset if facts else None)
    base = Job(FORMATS["tensorrt"], precision, model.spec, folder, opset=opset, calibration=calibration, model="small")
    return replace(base, device=facts, **changes)


def model_of(
    nodes: Sequence[onnx.NodeProto], constants: dict[str, Any] | None = None, size: int = 4, opset: int = 18
) -> onnx.ModelProto:
    """Return a graph from x to y, both (2, size) float32."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", FLOAT, [2, size])],
        [helper.make_tensor_value_info("y", FLOAT, [2, size])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def typed(model: onnx.ModelProto, peaks: dict[str, float] | None = None) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return a typed copy, checked as strictly as ONNX can, and its islands."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    plain(onnx, made)
    graph = FloatGraph(onnx, made)
    islands = find_islands(graph, peaks or {})
    halve(onnx, made, graph, islands)
    onnx.checker.check_model(made, full_check=True)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    return made, islands


def run(model: onnx.ModelProto, x: Any) -> Any:
    """Return y by ONNX's own evaluator: numpy computes fp16 in fp16, which ONNX Runtime's CPU kernels widen."""
    return ReferenceEvaluator(model).run(["y"], {"x": np.asarray(x, np.float32)})[0]


def types(model: onnx.ModelProto) -> dict[str, int]:
    known = onnx.shape_inference.infer_shapes(model).graph
    found = {v.name: v.type.tensor_type.elem_type for v in (*known.input, *known.value_info, *known.output)}
    return {**found, **{t.name: t.data_type for t in known.initializer}}


def casts(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Cast" for node in model.graph.node)


# The table of operators


def test_a_newer_parser_takes_whatever_an_older_one_took() -> None:
    tables = [parser_table(release) for release in RELEASES]
    for older, newer in itertools.pairwise(tables):
        assert older.operators < newer.operators
        assert older.opset <= newer.opset


@pytest.mark.parametrize(
    ("version", "operator", "since"),
    [
        ("8.2.1", "Mod", "8.5"),
        ("8.5.2", "LayerNormalization", "8.6"),
        ("10.3.0", "Gelu", "10.15"),
        ("11.3", "Unique", None),
    ],
)
def test_the_table_tells_what_a_release_lacks_and_which_one_has_it(
    version: str, operator: str, since: str | None
) -> None:
    assert parser_table(version).missing(["Conv", operator, "Add", operator]) == (operator,)
    assert first_release_with(operator) == since


def test_a_release_between_two_tables_has_the_older_one() -> None:
    assert parser_table("8.5.10").release == "8.5"
    assert parser_table("10.14.1").release == "10.5"
    assert (parser_table("10.3").strongly_typed, parser_table("8.6.1").strongly_typed) == (True, False)
    with pytest.raises(UnsupportedError, match=r"7\.2 is older than 8\.2.*Type: --format onnx"):
        parser_table("7.2")


# What stays float32


LAYER_NORM = [
    helper.make_node("ReduceMean", ["x", "axes"], ["mean"], "mean"),
    helper.make_node("Sub", ["x", "mean"], ["apart"], "apart"),
    helper.make_node("Pow", ["apart", "two"], ["squares"], "squares"),
    helper.make_node("ReduceMean", ["squares", "axes"], ["variance"], "variance"),
    helper.make_node("Add", ["variance", "epsilon"], ["safe"], "safe"),
    helper.make_node("Sqrt", ["safe"], ["deviation"], "deviation"),
    helper.make_node("Div", ["apart", "deviation"], ["normal"], "normal"),
    helper.make_node("Mul", ["normal", "gain"], ["y"], "gain"),
]
NORM_CONSTANTS = {
    "axes": np.array([1]),
    "two": np.float32(2),
    "epsilon": np.float32(1e-6),
    "gain": np.array([1, 2, 3, 4], np.float32),
}


WIDE = np.array([[300, -300, 310, -290], [1e-3, 2e-3, 0, 1e-3]], np.float32)
"""Squares beyond 65504, and a variance that fp16 does not know."""


def test_a_norm_spelled_out_keeps_float32_from_end_to_end() -> None:
    made, islands = typed(model_of(LAYER_NORM, NORM_CONSTANTS))
    assert set(islands) == {"mean", "apart", "squares", "variance", "safe", "deviation", "normal"}
    assert casts(made) == 2  # the norm's end goes down, and y comes up
    np.testing.assert_allclose(run(made, WIDE), run(model_of(LAYER_NORM, NORM_CONSTANTS), WIDE), rtol=2e-3, atol=1e-3)


def test_all_in_fp16_that_norm_overflows_which_is_why() -> None:
    model = plain(onnx, model_of(LAYER_NORM, NORM_CONSTANTS))
    halve(onnx, model, FloatGraph(onnx, model), {})
    with np.errstate(all="ignore"):
        got = run(model, WIDE)
    np.testing.assert_array_equal(got[0], 0.0)  # divided by infinity


@pytest.mark.parametrize(
    ("value", "held"),
    [(1.0, True), (1e-5, True), (1e-6, False), (1e-12, False), (7e4, False), (0.0, True), (-np.inf, True)],
)
def test_a_lone_constant_that_fp16_cannot_hold_keeps_its_operator_in_float32(value: float, held: bool) -> None:
    assert holds(np.array(value, np.float32)) is held
    nodes = [helper.make_node("Add", ["x", "c"], ["y"], "add")]
    assert typed(model_of(nodes, {"c": np.float32(value)}))[1] == ({} if held else {"add": "constant"})


def test_small_weights_may_round_to_nothing_and_large_ones_may_not() -> None:
    assert holds(np.array([1.0, 1e-9], np.float32))
    assert not holds(np.array([1.0, 1e5], np.float32))
    assert holds(np.array([0.0, -np.inf], np.float32))


def test_a_value_near_the_end_of_the_range_keeps_maker_and_taker_in_float32() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["large"], "up"),
        helper.make_node("MatMul", ["large", "w"], ["back"], "down"),
        helper.make_node("Relu", ["back"], ["y"], "relu"),
    ]
    model = model_of(nodes, {"k": np.float32(100), "w": np.eye(4, dtype=np.float32) / 100})
    assert typed(model, {"large": MOST_SEEN})[1] == {}
    made, islands = typed(model, {"large": MOST_SEEN + 1})
    assert islands == {"up": "range", "down": "range"}
    np.testing.assert_allclose(run(made, np.full((2, 4), 1000)), np.full((2, 4), 1000), rtol=1e-3)


# Types and casts


def test_weights_are_halved_inputs_and_outputs_stay_and_islands_are_named() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "product"),
        helper.make_node("Softmax", ["a"], ["s"], "softmax", axis=-1),
        helper.make_node("Add", ["s", "w0"], ["y"], "sum"),
    ]
    made, _ = typed(model_of(nodes, {"w": np.eye(4, dtype=np.float32), "w0": np.ones(4, np.float32)}))
    found = types(made)
    assert (found["x"], found["y"]) == (FLOAT, FLOAT)
    assert {t.data_type for t in made.graph.initializer} == {HALF}
    assert [n.name for n in made.graph.node if n.name.startswith(FP32_NODE)] == [f"{FP32_NODE}softmax"]
    assert (found["a"], found["s"]) == (HALF, FLOAT)
    assert casts(made) == 4


def test_a_constant_that_both_sides_use_stands_in_both_types() -> None:
    nodes = [
        helper.make_node("Add", ["x", "c"], ["a"], "half"),
        helper.make_node("Pow", ["a", "c"], ["b"], "full"),
        helper.make_node("Add", ["b", "c"], ["y"], "half again"),
    ]
    made, _ = typed(model_of(nodes, {"c": np.float32(2)}))
    assert sorted(t.data_type for t in made.graph.initializer) == [FLOAT, HALF]
    np.testing.assert_allclose(run(made, np.ones((2, 4))), 11.0)


def test_one_cast_serves_every_taker() -> None:
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"], "a"),
        helper.make_node("Mul", ["x", "a"], ["b"], "b"),
        helper.make_node("Exp", ["b"], ["e"], "e"),
        helper.make_node("Log", ["b"], ["l"], "l"),
        helper.make_node("Sub", ["e", "l"], ["y"], "y"),
    ]
    made, _ = typed(model_of(nodes))
    assert casts(made) == 5  # x and b once each, e, l, and the output


def test_attributes_and_inputs_with_types_of_their_own_are_kept() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node(
            "ConstantOfShape", ["shape"], ["ones"], "ones", value=numpy_helper.from_array(np.ones(1, np.float32))
        ),
        helper.make_node("Cast", ["shape"], ["numbers"], "numbers", to=FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["most"], "most"),
        helper.make_node("Add", ["x", "ones"], ["a"], "a"),
        helper.make_node("Mul", ["a", "most"], ["b"], "b"),
        helper.make_node("Reshape", ["b", "image"], ["c"], "c"),
        helper.make_node("Resize", ["c", "", "scales"], ["d"], "resize", mode="nearest"),
        helper.make_node("Reshape", ["d", "flat"], ["y"], "y"),
    ]
    constants = {
        "image": np.array([1, 1, 2, 2]),
        "scales": np.array([1, 1, 1, 2], np.float32),
        "flat": np.array([2, 4]),
    }
    model = model_of(nodes, constants)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    made, islands = typed(model)
    assert islands == {}
    assert types(made)["scales"] == FLOAT
    assert {types(made)[name] for name in ("ones", "numbers", "a", "d")} == {HALF}
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    np.testing.assert_array_equal(run(made, x), run(model, x))


def test_constants_as_nodes_become_initializers_and_every_node_gets_a_name() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value_float=2.0),
        helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32))),
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Add", ["a", "d"], ["y"]),
    ]
    model = plain(onnx, model_of(nodes))
    assert [n.op_type for n in model.graph.node] == ["Add", "Add"]
    assert len({n.name for n in model.graph.node} - {""}) == 2
    np.testing.assert_array_equal(run(typed(model)[0], np.zeros((2, 4)))[0], [3, 4, 5, 6])


def test_a_branch_is_refused() -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", FLOAT, None)]
    )
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    with pytest.raises(UnsupportedError, match=r"If holds a branch.*Type: --precision fp32"):
        plain(onnx, model_of(nodes, {"yes": np.array(True)}))


def test_a_constant_or_a_type_that_cannot_be_is_refused_with_the_way_out() -> None:
    nodes = [
        helper.make_node("Constant", [], ["word"], value_string="one"),
        helper.make_node("Add", ["x", "x"], ["y"]),
    ]
    with pytest.raises(ConversionError, match=r"'word' is a value_string.*Type: --format onnx"):
        plain(onnx, model_of(nodes))
    foreign = helper.make_node("Mystery", ["x"], ["a"], "secret", domain="somebody.else")
    model = model_of([helper.make_node("Add", ["x", "x"], ["y"])])
    model.graph.node.insert(0, foreign)
    model.opset_import.append(helper.make_opsetid("somebody.else", 1))
    with pytest.raises(ConversionError, match=r"Mystery 'secret' gives is not known.*Type: --precision fp32"):
        FloatGraph(onnx, model)


def test_names_of_layers_say_nothing_to_a_command_line() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "a, b:c*"),
        helper.make_node("Relu", ["a"], ["y"], "a  b_c?"),
    ]
    names = [node.name for node in plain(onnx, model_of(nodes)).graph.node]
    assert names == ["a__b_c_", "a__b_c__1"]


UNARY = ("Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Softmax", "HardSwish", "Identity")
BINARY = ("Add", "Sub", "Mul", "Max", "MatMul")


@given(
    st.lists(
        st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12
    )
)
def test_whatever_the_graph_the_types_agree_and_the_answer_too(steps: list[tuple[str, int, int]]) -> None:
    values, nodes = ["x"], []
    for place, (op, left, right) in enumerate(steps):
        one, other = values[left % len(values)], "w" if op == "MatMul" else values[right % len(values)]
        name = "y" if place == len(steps) - 1 else f"v{place}"
        nodes.append(helper.make_node(op, [one] if op in UNARY else [one, other], [name], f"n{place}"))
        values.append(name)
    model = model_of(nodes, {"w": np.linspace(-0.5, 0.5, 16, dtype=np.float32).reshape(4, 4)})
    x = np.array([[0.5, -0.25, 1.0, -1.0], [0.0, 0.125, -0.75, 0.5]], np.float32)
    wanted = run(model, x)
    largest = max(float(np.abs(run(part(model, n), x)).max()) for n in range(1, len(nodes) + 1))
    np.testing.assert_allclose(run(typed(model)[0], x), wanted, rtol=0, atol=0.01 * max(1.0, largest))


def part(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """Return the graph of the first nodes alone."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.node[count:]
    cut.graph.node[-1].output[0] = "y"
    return cut


# Whole conversions


DEVICES = {"jetson-nano": 13, "jetson-agx-xavier": 16, "jetson-orin-nano": 18}


@pytest.mark.parametrize("device", list(DEVICES))
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_each_device_gets_a_file_that_its_parser_takes_and_that_computes_right(
    traced: Traced, small: ModelDef, tmp_path: Path, device: str, precision: str
) -> None:
    made = tensorrt.convert(traced, job(tmp_path, precision, device))
    model = onnx.load(tmp_path / made.file)
    assert made.notes["opset"] == DEVICES[device]
    assert [entry.domain for entry in model.opset_import] == [""]
    table = parser_table(load_device(device).minimum.tensorrt or "")
    assert table.missing(node.op_type for node in model.graph.node) == ()
    ends = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    assert ends == {FLOAT}
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32), np.float32)
    with torch.inference_mode():
        wanted = small.module(torch.from_numpy(x)).numpy()
    got = shared.open_session(model).run(None, {"image": x})[0]
    tolerance = {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.2}[precision]
    assert np.abs(got - wanted).max() / np.abs(wanted).max() < tolerance


def test_fp16_halves_the_weights_and_tells_what_stayed(traced: Traced, tmp_path: Path) -> None:
    made = tensorrt.convert(traced, job(tmp_path, "fp16"))
    model = onnx.load(tmp_path / made.file)
    weights = [t for t in model.graph.initializer if len(t.dims) > 1]
    assert {t.data_type for t in weights} == {HALF}
    assert made.notes["kept_in_fp32"].endswith("operators (2 rule)")
    assert made.notes["typing"] == "strong"
    assert made.notes["largest_value_seen"] > 0
    assert {n.op_type for n in model.graph.node if n.name.startswith(FP32_NODE)} == {"Softmax", "ReduceMean"}


@pytest.mark.parametrize("device", [None, "jetson-agx-xavier"])
def test_int8_is_symmetric_signed_a_channel_each_with_float_biases(
    traced: Traced, tmp_path: Path, device: str | None
) -> None:
    made = tensorrt.convert(traced, job(tmp_path, "int8", device))
    model = onnx.load(tmp_path / made.file)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    zeros = [constants[n.input[2]] for n in pairs]
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    assert any(constants[n.input[1]].size > 1 for n in pairs)
    quantised = {name: n for n in pairs for name in n.output}
    weighted = [n for n in model.graph.node if n.op_type in tensorrt.QUANTISED and len(n.input) > 1]
    for node in weighted:
        constant_weight = node.input[1] in quantised
        assert constant_weight == (node.input[0] in quantised)  # attention's products of two streams stay float
        if len(node.input) > 2:
            assert node.input[2] in constants
            assert constants[node.input[2]].dtype == np.float32
    stored = {constants[n.input[0]].dtype.name for n in pairs if n.input[0] in constants}
    assert stored == ({"int8"} if device is None else {"float32"})  # TensorRT 8 takes no int8 constant


def test_a_batch_that_varies_stays_open(small: ModelDef, tmp_path: Path) -> None:
    open_ended = trace("main", small.graphs["main"], "tensorrt", batch=1, dynamic=True)
    made = tensorrt.convert(open_ended, job(tmp_path, "fp16", dynamic=True))
    session = shared.open_session(onnx.load(tmp_path / made.file))
    assert session.run(None, {"image": np.zeros((3, 3, 32, 32), np.float32)})[0].shape == (3, 4)


def test_the_manifest_says_what_was_proven_and_by_whom(small: ModelDef, tmp_path: Path) -> None:
    bundle = edgevit.export(small, format="trt", precision="fp16", out=tmp_path / "b")
    graph = bundle.manifest.graphs["main"]
    assert graph.proof == "graph-only"
    assert graph.stand_in is not None
    assert graph.stand_in.proof == "executed"
    assert bundle.manifest.verification["file"]["typing"] == "strong"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset": 21}, r"TensorRT 10\.0 reads ONNX up to opset 20, not 21\. Type: --opset 18"),
        ({"device": "jetson-nano", "opset": 17}, r"TensorRT 8\.2 reads ONNX up to opset 13, not 17\. Type: --opset 13"),
        ({"device": "jetson-nano", "levels": True}, r"8\.2 takes no uint8 input; 8\.5 is the first"),
    ],
)
def test_what_a_release_cannot_take_is_refused_before_the_work(
    traced: Traced, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        tensorrt.convert(traced, job(tmp_path, "fp32", **changes))
    assert list(tmp_path.iterdir()) == []


def table(version: str = "10.0") -> ParserTable:
    return parser_table(version)


def pooling(**attributes: Any) -> onnx.NodeProto:
    return helper.make_node("MaxPool", ["x"], ["y"], "pool", **attributes)


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([helper.make_node("Det", ["x"], ["y"])], {}, r"10\.0 does not take the operator Det of m; no release does"),
        ([helper.make_node("Gelu", ["x"], ["y"])], {}, r"Gelu of m; 10\.15 is the first that does.*newer --device"),
        ([pooling(kernel_shape=[3])], {}, "MaxPool of m as it stands: it pools over one dimension"),
        ([pooling(kernel_shape=[3, 3], dilations=[2, 2])], {}, "it is dilated"),
        ([helper.make_node("Resize", ["x"], ["y"], mode="cubic")], {}, "by cubics"),
        ([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], {"z": np.uint8(128)}, "zero point is not 0"),
    ],
)
def test_what_the_parser_does_not_take_is_refused_by_name(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], words: str
) -> None:
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(v, k) for k, v in constants.items()])
    with pytest.raises(UnsupportedError, match=words):
        tensorrt.check_operators(onnx, helper.make_model(graph), table(), "m")


def test_foreign_operators_are_refused() -> None:
    graph = helper.make_graph([helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")], "g", [], [])
    with pytest.raises(ConversionError, match=r"operators of 'com\.microsoft'.*Type: --format onnx"):
        tensorrt.check_operators(onnx, helper.make_model(graph), table(), "m")


class Windows(nn.Module):
    """Attention by torch's fused function over windows, whose number is arithmetic on shapes, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        pad = (3 - x.shape[-1] % 3) % 3
        tokens = functional.pad(x, (0, pad, 0, pad)).flatten(2).transpose(1, 2).unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        scores: torch.Tensor = self.head(self.norm(mixed.squeeze(1)).mean(1))
        return scores


@pytest.mark.parametrize("device", ["jetson-nano", "jetson-agx-xavier"])
def test_fused_attention_shapes_and_norms_reach_old_parsers(small: ModelDef, tmp_path: Path, device: str) -> None:
    torch.manual_seed(0)
    model = ModelDef.from_module(Windows().eval(), small.spec, name="windows", weights=small.weights)
    fused = functional.scaled_dot_product_attention
    made = tensorrt.convert(
        trace("main", model.graphs["main"], "tensorrt", batch=1, dynamic=False), job(tmp_path, "fp16", device)
    )
    assert functional.scaled_dot_product_attention is fused
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32), np.float32)
    with torch.inference_mode():
        wanted = model.module(torch.from_numpy(x)).numpy()
    got = shared.open_session(onnx.load(tmp_path / made.file)).run(None, {"image": x})[0]
    assert np.abs(got - wanted).max() / np.abs(wanted).max() < 5e-3


def test_causal_attention_says_which_opset_has_it() -> None:
    x = torch.zeros(1, 1, 2, 2)
    with shared._spelled_out_attention(), pytest.raises(UnsupportedError, match="needs opset 14"):
        functional.scaled_dot_product_attention(x, x, x, is_causal=True)
