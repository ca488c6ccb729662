"""ExecuTorch's exporter: its forms are equal, its shortcuts change no byte, its files run whole on one delegate."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_nets
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import edgevit
from edgevit.bundle import open_bundle
from edgevit.errors import BundleError, ConversionError, MissingDependencyError, UnsupportedError
from edgevit.exporters import executorch as exporter
from edgevit.exporters import pictures
from edgevit.exporters.executorch_casts import written_casts
from edgevit.exporters.executorch_forms import FORMS
from edgevit.exporters.executorch_half import half_filters
from edgevit.exporters.executorch_lean import lean_lowering
from edgevit.exporters.executorch_passes import suited
from edgevit.exporters.executorch_spared import has_work, writes_in_place
from edgevit.exporters.placement import place_files
from edgevit.exporters.quiet import quiet
from edgevit.exporters.recipe import Converted, Job, Traced
from edgevit.exporters.trace import trace
from edgevit.exporters.verify import verify
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.registry import SMALLEST
from edgevit.runtime.engines import EngineOptions, load_engine
from edgevit.runtime.engines.executorch_file import PLAIN, read_contents, weight_bytes

pytest.importorskip("executorch", reason="ExecuTorch is not installed")

EMPTY = GraphFile("model.pte", "main", (), (), "executed")
Function = Callable[..., Any]
NUMBERS = torch.Generator().manual_seed(0)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=NUMBERS)


class Calls(nn.Module):
    """Call a function, with a constant at hand."""

    def __init__(self, function: Function, constant: torch.Tensor | None = None) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("constant", constant)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, self.constant) if self.constant is not None else self.function(x)


def rewritten(module: nn.Module, *inputs: torch.Tensor) -> tuple[list[str], Any]:
    """Return the operators of the new form, and what it answers."""
    program = torch.export.export(module.eval(), inputs, strict=False)
    before = [str(node.target) for node in program.graph.nodes]
    new = suited(program, FORMS)
    assert [str(node.target) for node in program.graph.nodes] == before, "the program stays as it is"
    with torch.no_grad():
        return [str(n.target) for n in new.graph.nodes if n.op == "call_function"], new(*inputs)


X = numbers(2, 8, 6, 4)
TOKENS = numbers(2, 12, 8)
CASES: dict[str, tuple[Function, torch.Tensor, torch.Tensor | None, str]] = {
    "split": (lambda x: sum(p.mean() for p in x.split([1, 3, 4], 1)), X, None, "split"),
    "chunk": (lambda x: torch.cat(x.chunk(3, 2)[::-1], 2), X, None, "chunk"),
    "unbind": (lambda x: torch.stack([2 * p for p in x.unbind(1)], 1), X, None, "unbind"),
    "select from behind": (lambda x: x[:, -1] * 2, X, None, "select"),
    "every other": (lambda x: x[:, :, ::2, ::3] + 1, X, None, "slice.Tensor(step)"),
    "every other of odd": (lambda x: x[:, :, ::2] + 1, numbers(1, 2, 7, 3), None, "slice.Tensor(step)"),
    "squeeze": (lambda x: x[:, :1].squeeze(1) * 3, X, None, "squeeze"),
    "matmul": (lambda x: x @ x.transpose(-1, -2), X, None, "matmul"),
    "matmul of a constant": (lambda x, c: c @ x, TOKENS, numbers(5, 12), "matmul"),
    "matmul by a constant": (lambda x, c: x @ c, X, numbers(4, 3), "matmul"),
    "softmax": (lambda x: x.softmax(-1), X, None, ""),
    "mean of tokens": (lambda x: x.mean(1), TOKENS, None, ""),
    "mean of channels": (lambda x: x.mean((1, 3), keepdim=True), X, None, ""),
    "mean of a picture": (lambda x: x.mean((-2, -1)), X, None, ""),
    "pool": (lambda x: F.adaptive_avg_pool2d(x, 1), X, None, "adaptive_avg_pool2d"),
    "sum": (lambda x: x.sum(-1, keepdim=True), X, None, "sum"),
    "sum without": (lambda x: x.sum(-1), X, None, "sum"),
    "group norm": (lambda x, c: F.group_norm(x, 1, c, 2 * c), X, numbers(8), "group_norm"),
    "layer norm": (lambda x, c: F.layer_norm(x, (8,), c, 2 * c), TOKENS, numbers(8), "layer_norm"),
    "layer norm, bare": (lambda x: F.layer_norm(x, (8,)), TOKENS, None, "layer_norm"),
    "expand": (lambda x: x * x[:, :, :, :1].expand_as(x), X, None, "expand"),
    "no pad": (lambda x: F.pad(x, (0, 0, 0, 0)) * 2, X, None, "pad"),
    "dropout": (lambda x: F.dropout(x, 0.3, training=False) + 1, X, None, "dropout"),
    "attention": (lambda x: F.scaled_dot_product_attention(x, 2 * x, x + 1), X, None, "scaled_dot_product"),
    "attention, scaled": (lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.3), X, None, "scaled_dot_product"),
    "SiLU": (F.silu, X, None, "silu"),
    "SiLU in place": (lambda x: F.silu(x + 1, inplace=True), X, None, "silu"),
    "constants": (lambda x, c: x + c[:, [2, 0]].softmax(-1)[0, 1], X, numbers(3, 4), "index"),
    "numbers": (lambda x: (x + 3) * 0.5 / 7 - 1, X, None, ""),
    "mean of the last two": (lambda x: x.mean((1, 2), keepdim=True), TOKENS, None, "permute"),
    "unit length": (lambda x: F.normalize(x, dim=-1), X, None, "vector_norm"),
    "length": (lambda x: x.norm(dim=-1), X, None, "vector_norm"),
    "GELU by tanh": (lambda x: F.gelu(x, approximate="tanh"), X, None, "gelu"),
    "places": (lambda x: x * torch.arange(4).div(3).cumsum(0).sin() + torch.ones(6, 1), X, None, "arange"),
    "parts of a constant": (lambda x, c: (2 * c).unbind(0)[1] * x, X, numbers(2, 4), "unbind"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_equal_and_its_old_operator_gone(name: str) -> None:
    function, x, constant, gone = CASES[name]
    module = Calls(function, constant)
    operators, answer = rewritten(module, x)
    args = (x,) if constant is None else (x, constant)
    torch.testing.assert_close(answer, function(*args), rtol=2e-5, atol=2e-5)
    assert not gone or not any(gone in operator for operator in operators), operators


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), "scaled_dot_product_attention"),
        (lambda x: F.group_norm(x, 2), "group_norm"),
        (lambda x: F.layer_norm(x, (6, 4)), "layer_norm"),
        (lambda x: x.softmax(1), "softmax"),
        (F.gelu, "gelu"),
        (lambda x: x.norm(dim=1), "norm"),
        (lambda x: torch.linalg.vector_norm(x, 1, -1), "vector_norm"),
        (lambda x: x.mean((0, 1)), "mean"),
        (lambda x: x.sum((1, 3)), "sum"),
        (lambda x: torch.add(x, x, alpha=2), "add"),
        (lambda x: x[:, 1::2] * 1.0, "slice"),
        (lambda x: F.pad(x, (1, 0, 0, 0)), "pad"),
        (lambda x: F.adaptive_avg_pool2d(x, 2), "adaptive_avg_pool2d"),
    ],
)
def test_what_has_no_form_is_left_as_it_is(function: Function, operator: str) -> None:
    operators, answer = rewritten(Calls(function), X)
    torch.testing.assert_close(answer, function(X), rtol=2e-5, atol=2e-5)
    assert any(operator in each for each in operators)


def test_a_value_that_silu_overwrites_for_others_is_not_taken_apart() -> None:
    def twice(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        return F.silu(y, inplace=True) + y

    _, answer = rewritten(Calls(twice), X)
    torch.testing.assert_close(answer, twice(X))


@pytest.mark.parametrize(("bias", "affine", "groups"), [(True, True, 1), (False, True, 4), (True, False, 4)])
def test_a_batch_norm_moves_into_its_convolution(bias: bool, affine: bool, groups: int) -> None:
    net = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1, groups=groups, bias=bias), nn.BatchNorm2d(12, affine=affine))
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    if affine:
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.uniform_(-1, 1)
    operators, answer = rewritten(net, X)
    assert operators == ["aten.conv2d.default"]
    with torch.no_grad():
        torch.testing.assert_close(answer, net.eval()(X), rtol=2e-5, atol=2e-5)


def test_a_batch_norm_whose_convolution_others_read_too_stays() -> None:
    convolution, norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = convolution, norm

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.convolution(x)
            forked: torch.Tensor = self.norm(y) + y
            return forked

    operators, answer = rewritten(Forked(), X)
    assert "aten.batch_norm.default" in operators
    with torch.no_grad():
        torch.testing.assert_close(answer, Forked().eval()(X), rtol=2e-5, atol=2e-5)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_means_slices_and_products_are_equal_for_any_shape(data: Any) -> None:
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=3, max_size=5))
    x = numbers(*sizes)
    dims = data.draw(st.lists(st.integers(1 - len(sizes), -1), min_size=1, max_size=len(sizes) - 1, unique=True))
    keep, step = data.draw(st.booleans()), data.draw(st.integers(1, 4))
    dim = data.draw(st.integers(0, len(sizes) - 1))
    index = (slice(None),) * dim + (slice(None, None, step),)
    functions: tuple[Function, ...] = (
        lambda v: v.mean(dims, keepdim=keep),
        lambda v: v[index] + 1,
        lambda v: v @ v.transpose(-1, -2),
        lambda v: v.softmax(-1),
    )
    for function in functions:
        _, answer = rewritten(Calls(function), x)
        torch.testing.assert_close(answer, function(x), rtol=1e-4, atol=1e-5)


def job(folder: Path, precision: str = "fp32", **more: Any) -> tuple[Traced, Job]:
    model = small_nets.model_def()
    traced = trace("main", model.graphs["main"], "executorch", batch=1, dynamic=False)
    calibration = pictures.built_in(model.spec, most=8, split="calibration") if precision == "int8" else None
    made = Job(FORMATS["executorch"], precision, model.spec, folder, model="small", calibration=calibration)
    return traced, replace(made, **more)


def answers(made: Converted, folder: Path, image: torch.Tensor) -> np.ndarray[Any, Any]:
    graph = GraphFile(made.file, "main", made.inputs, made.outputs, "executed")
    engine = load_engine("executorch", folder / made.file, graph, EngineOptions(threads=1))
    try:
        return engine.run({made.inputs[0].name: image.numpy()})[made.outputs[0].name]
    finally:
        engine.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Traced, Converted, Path]]:
    """Convert the small net once in every precision."""
    done = {}
    for precision in ("fp32", "fp16", "int8"):
        folder = tmp_path_factory.mktemp(precision)
        traced, work = job(folder, precision)
        done[precision] = traced, exporter.convert(traced, work), folder
    return done


Files = dict[str, tuple[Traced, Converted, Path]]


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-5), ("fp16", 2e-2), ("int8", 0.2)])
def test_a_file_runs_whole_on_one_delegate(files: Files, precision: str, error: float) -> None:
    traced, made, folder = files[precision]
    image = numbers(1, 3, small_nets.SIZE, small_nets.SIZE)
    with torch.no_grad():
        wanted = traced.module(image).numpy()
    got = answers(made, folder, image)
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() <= error * np.abs(wanted).max()
    contents = read_contents(folder / made.file)
    assert contents.delegates == ("XnnpackBackend",)
    assert not contents.plain()
    assert made.notes["delegates"] == {"XnnpackBackend": 1}
    assert made.notes["plain_kernels"] == {}


def test_what_xnnpack_has_in_float32_only_stays_in_an_fp16_file_s_one_part(tmp_path: Path) -> None:
    """GELU, behind channels that lie last and in front of such: a cast must not turn them round."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1))
    module = nn.Sequential(net, nn.Flatten()).eval()
    traced, work = job(tmp_path, "fp16")
    image = numbers(*traced.example[0].shape)
    with quiet():
        program = torch.export.export(module, (image,), strict=False)
    made = exporter.convert(replace(traced, program=program, module=module), work)
    with torch.no_grad():
        wanted = module(image).numpy()
    assert np.abs(answers(made, tmp_path, image) - wanted).max() <= 5e-3 * np.abs(wanted).max()
    contents = read_contents(tmp_path / made.file)
    assert contents.delegates == ("XnnpackBackend",)
    assert not contents.plain()
    assert contents.operators["Gelu", "XnnpackBackend"] == 2
    assert contents.operators["Convert", "XnnpackBackend"] == 6


class Loud(nn.Module):
    """Normalise numbers whose squares fp16 cannot hold, by rows and by pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.all, self.rows = nn.Conv2d(3, 24, 3), nn.GroupNorm(1, 24), nn.LayerNorm(24)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        loud = self.first(image) * 2000
        assert loud.shape[1] == 24
        rows = self.rows((self.all(loud) + loud).flatten(2).transpose(1, 2))
        normed: torch.Tensor = rows.mean(1)
        return normed[:, :4]


def test_a_norm_of_loud_numbers_is_right_in_fp16_and_in_the_file_s_one_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Loud().eval()
    traced, work = job(tmp_path, "fp16")
    image = numbers(*traced.example[0].shape)
    with quiet():
        program = torch.export.export(module, (image,), strict=False)
    made = exporter.convert(replace(traced, program=program, module=module), work)
    with torch.no_grad():
        wanted = module(image).numpy()
        assert module.first(image).abs().max() * 2000 > 1000, "its square is far beyond 65504"
    assert np.abs(answers(made, tmp_path, image) - wanted).max() <= 1e-2 * np.abs(wanted).max()
    contents = read_contents(tmp_path / made.file)
    assert contents.delegates == ("XnnpackBackend",)
    assert not contents.plain()


def test_weights_lie_in_the_file_as_short_as_they_are(files: Files) -> None:
    sizes = {name: weight_bytes(folder / made.file) for name, (_, made, folder) in files.items()}
    assert sizes["fp16"] <= 0.6 * sizes["fp32"]
    assert sizes["int8"] <= 0.6 * sizes["fp32"]


class Motley(nn.Module):
    """Give nearly every pass that may be left out something to do: numbers, types, views, lines, pools, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.line = nn.Conv2d(3, 4, 3, padding=1), nn.Conv1d(4, 4, 3)
        self.slope = nn.PReLU(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image).add_(1).relu_()
        x = self.slope(F.hardtanh(F.max_pool2d(x, 2)))
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        x = self.line(torch.cat((x, x, x - 2, x * x, x / 3, x), 2).flatten(2))
        count = (x > 0).sum((1, 2))
        answer: torch.Tensor = (x.mean(2) + count[:, None] * 0.25).t().contiguous().t() @ torch.eye(4)
        return answer


@pytest.mark.slow
@pytest.mark.parametrize("module", [None, Motley().eval()], ids=["small", "motley"])
def test_the_shortcuts_change_no_byte(tmp_path: Path, module: nn.Module | None) -> None:
    """Hold the file against ExecuTorch's own way from the same forms, with all of its passes and decompositions."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    traced, work = job(tmp_path)
    if module is not None:
        with quiet():
            program = torch.export.export(module, traced.example, strict=False)
        traced = replace(traced, program=program, module=module)
    made = exporter.convert(traced, work)
    with quiet():
        program = torch.export.export(suited(traced.program, FORMS), traced.example, strict=False)
        usual = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer
    assert (tmp_path / made.file).read_bytes() == bytes(usual)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("NormalizeTransposePass", lambda x: x[0, 0].t() + x[0, 0].t()),
        ("ReplaceBrokenOpsWithFunctionalOpsPass", lambda x: x.view(2, -1) * x.view(2, -1)),
        ("ScalarToTensorPass", lambda x: x + 2),
        ("RemoveMixedTypeOperators", lambda x: x + x.double()),
        ("RemoveMixedTypeOperators", lambda x: x.int() / x.int()),
        ("XNNPACKRemoveCloneOpsTransform", lambda x: x.clone() + x),
        ("ConstPropPass", lambda x: x + torch.full((4,), 2.0)),
        ("LegalizePortableDimOrderPass", lambda x: x.mean(1)),
    ],
)
def test_a_pass_is_left_out_only_where_it_has_nothing_to_do(name: str, function: Function) -> None:
    for wanted, graph_of in ((True, function), (False, lambda x: torch.sigmoid(x) + x)):
        graph = torch.export.export(Calls(graph_of), (X,), strict=False).graph
        assert has_work(name, graph) is wanted
    assert has_work("SomeNewPass", graph)


def test_an_operator_in_place_is_seen() -> None:
    for wanted, function in ((True, lambda x: F.relu(x + 1, inplace=True)), (False, lambda x: F.relu(x + 1))):
        program = torch.export.export(Calls(function), (X,), strict=False)
        assert writes_in_place(program.graph) is wanted


def test_what_is_taken_from_executorch_is_given_back() -> None:
    from executorch.backends.xnnpack import xnnpack_preprocess
    from executorch.backends.xnnpack.operators import node_visitor
    from executorch.exir.program import _program
    from torch.fx.traceback import NodeSource

    def taken() -> tuple[Any, ...]:
        own = (xnnpack_preprocess.XNNPACKPassManager, node_visitor.NodeVisitor.define_tensor)
        exir = (_program._get_aten_to_edge_passes, _program.edge_to_executorch_passes)
        torch_s = (torch.export.ExportedProgram.run_decompositions, dict(vars(NodeSource)))
        return *own, *exir, *torch_s, dict(node_visitor._node_visitor_dict)

    before = taken()
    with lean_lowering(), half_filters(), written_casts():
        assert all(one != other for one, other in zip(before, taken(), strict=True))
    assert before == taken()


def test_a_camera_s_levels_go_straight_in(tmp_path: Path) -> None:
    model = small_nets.model_def()
    image = model.spec.image
    traced = trace("main", model.graphs["main"], "executorch", batch=1, dynamic=False, inside=image)
    spec = replace(model.spec, image=replace(image, values="levels"))
    made = exporter.convert(traced, Job(FORMATS["executorch"], "fp16", spec, tmp_path, model="small", levels=True))
    assert made.inputs[0].dtype == "uint8"
    assert made.values == "levels"
    placement = place_files("executorch", "fp16", {"main": (tmp_path / made.file, EMPTY)})
    assert {op.why for op in placement.views[0].ops if op.where == PLAIN} == {
        "the border between the app's type and the delegate's"
    }
    assert not placement.falls_back
    levels = torch.randint(0, 256, traced.example[0].shape, dtype=torch.uint8, generator=NUMBERS)
    with torch.no_grad():
        wanted = traced.module(levels).numpy()
    assert np.abs(answers(made, tmp_path, levels) - wanted).max() <= 0.02 * np.abs(wanted).max()


def test_softmax_of_four_dimensions_is_right_behind_a_convolution(tmp_path: Path) -> None:
    """XNNPACK has the channels last there and would take softmax over them; the stock recipe does."""

    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            rows: torch.Tensor = self.convolution(image).softmax(-1)
            return rows.amax((1, 2))[:, :4]

    torch.manual_seed(0)
    traced, work = job(tmp_path)
    module = Maps().eval()
    with quiet():
        program = torch.export.export(module, traced.example, strict=False)
    made = exporter.convert(replace(traced, program=program, module=module), work)
    image = numbers(*traced.example[0].shape)
    with torch.no_grad():
        np.testing.assert_allclose(answers(made, tmp_path, image), module(image).numpy(), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "delegate"), [("vulkan", "VulkanBackend"), ("coreml", "CoreMLBackend")])
def test_a_file_for_a_phone_has_its_twin_for_the_cpu(tmp_path: Path, backend: str, delegate: str) -> None:
    if backend == "coreml":
        pytest.importorskip("coremltools", reason="coremltools is not installed")
    traced, work = job(tmp_path, "fp16", backend=backend)
    made = exporter.convert(traced, work)
    contents = read_contents(tmp_path / made.file)
    assert contents.delegates == (delegate,)
    assert not contents.plain()
    assert all(where in (delegate, PLAIN) for _, where in contents.operators)
    with pytest.raises(UnsupportedError, match=r"this machine's ExecuTorch has no .*--backend xnnpack"):
        answers(made, tmp_path, traced.example[0])
    assert made.twin is not None
    twin = replace(made, file=made.twin)
    with torch.no_grad():
        wanted = traced.module(traced.example[0]).numpy()
    assert np.abs(answers(twin, tmp_path, traced.example[0]) - wanted).max() <= 0.02 * np.abs(wanted).max()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["vulkan", "coreml"])
def test_a_bundle_for_a_phone_is_proven_by_its_twin_at_export_and_by_verify(tmp_path: Path, backend: str) -> None:
    if backend == "coreml":
        pytest.importorskip("coremltools", reason="coremltools is not installed")
    bundle = edgevit.export(small_nets.model_def(), format="executorch", backend=backend, out=tmp_path / "b")
    graph = open_bundle(bundle.path).manifest.graphs["main"]
    assert graph.proof == "graph-only"
    assert graph.proven() == "graph-only; executed by ExecuTorch on the CPU, from the same graph"
    assert graph.stand_in is not None
    assert graph.stand_in.file == exporter.CPU_FILE
    assert read_contents(bundle.graph_file()).delegates == ({"vulkan": "VulkanBackend"}.get(backend, "CoreMLBackend"),)
    for golden in (False, True):
        report = verify(bundle.path, golden=golden)
        assert report.passed
        assert "standing in for the device's" in report.engine
    (bundle.path / exporter.CPU_FILE).unlink()
    with pytest.raises(BundleError, match=exporter.CPU_FILE):
        verify(bundle.path)


def test_what_cannot_be_is_refused_with_what_can(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no backend 'qnn' here; it has xnnpack, coreml, vulkan"):
        exporter.convert(*job(tmp_path, backend="qnn"))
    with pytest.raises(UnsupportedError, match=r"made in fp16, fp32 here, not in int8. .*--backend xnnpack"):
        exporter.convert(*job(tmp_path, "int8", backend="vulkan"))
    with pytest.raises(ConversionError, match="without calibration pictures"):
        exporter.convert(*job(tmp_path, "int8", calibration=None))
    assert not list(tmp_path.iterdir())


def test_an_operator_without_a_kernel_is_named(tmp_path: Path) -> None:
    class Special(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            waves: torch.Tensor = torch.special.bessel_j0(image)
            return waves.mean((1, 2, 3)).expand(1, 4)

    traced, work = job(tmp_path)
    with quiet():
        program = torch.export.export(Special(), traced.example, strict=False)
    with pytest.raises(ConversionError, match=r"ExecuTorch cannot lower small .*bessel_j0.*Try --format onnx") as told:
        exporter.convert(replace(traced, program=program), work)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_a_crash_deep_in_the_lowering_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: Any) -> Any:
        try:
            raise RuntimeError("unexpected rank 7\nat line 9 of something")
        except RuntimeError as exc:
            raise Exception("An error occurred when running the 'X' pass at aten.roll.default after: []") from exc

    monkeypatch.setattr(exporter, "_lowered", crash)
    with pytest.raises(ConversionError) as told:
        exporter.convert(*job(tmp_path))
    assert str(told.value) == (
        "ExecuTorch cannot lower small for XNNPACK (CPU) at aten.roll: unexpected rank 7. "
        "Try --format onnx or litert, or --verbose for the whole story."
    )


@pytest.mark.parametrize("package", ["executorch", "torchao"])
def test_a_missing_package_is_told_with_its_pip_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(tmp_path, "int8")
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(f"No module named '{package}'", name=package)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*edgevit\[export\]"):
        exporter.convert(*work)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [*SMALLEST, "timm/edgenext_xx_small"])
def test_every_family_is_one_delegate_and_right(name: str, tmp_path: Path) -> None:
    model = edgevit.create_model(name, "random")
    traced = trace("main", model.graphs["main"], "executorch", batch=1, dynamic=False)
    for precision, error in (("fp32", 1e-4), ("fp16", 0.1)):
        made = exporter.convert(traced, Job(FORMATS["executorch"], precision, model.spec, tmp_path, model=name))
        contents = read_contents(tmp_path / made.file)
        assert not contents.plain()
        assert len(contents.delegates) == 1
        image = torch.from_numpy(
            next(iter(pictures.built_in(model.spec, most=1, split="test").tensors(model.spec.image)))
        )
        with torch.no_grad():
            wanted = model.graphs["main"].module.eval()(image).numpy()
        assert np.abs(answers(made, tmp_path, image) - wanted).max() <= error * np.abs(wanted).max()
