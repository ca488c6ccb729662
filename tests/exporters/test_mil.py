"""PyMIL computes constants itself, in numpy, when a program is built: that is the oracle of the operations here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_nets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mil_weights import change_weight
from torch import nn

from edgevit.errors import BadOutputError, EngineError, MissingDependencyError
from edgevit.exporters import coreml, mil, mil_layers, mil_program
from edgevit.exporters.mil_ops import EXACT, TABLE
from edgevit.exporters.mil_program import MilProgram
from edgevit.exporters.recipe import Job, Traced
from edgevit.exporters.trace import trace
from edgevit.formats import find_format
from edgevit.manifest import GraphFile
from edgevit.models import ModelDef

ct = pytest.importorskip("coremltools", reason="coremltools is not installed")
from coremltools.converters.mil import Builder as mb  # noqa: E402, N813
from coremltools.converters.mil.mil import types  # noqa: E402

Array = np.ndarray[Any, Any]
NUMBERS = np.random.default_rng(0)


def program(build: Callable[..., Any], *shapes: tuple[int, ...], dtype: Any = None) -> MilProgram:
    """Build a program of tensors x, y ... and prepare it."""
    specs = [mb.TensorSpec(shape=shape, dtype=dtype or types.fp32) for shape in shapes]
    named = {1: lambda x: build(x), 2: lambda x, y: build(x, y)}[len(shapes)]
    made = mb.program(input_specs=specs, opset_version=ct.target.iOS17)(named)
    return mil_program._prepared(made.functions["main"], None)


def run(build: Callable[..., Any], *values: Array) -> list[Array]:
    ready = program(build, *(v.shape for v in values))
    made = ready.evaluate({name: torch.from_numpy(v) for name, v in zip("xy", values, strict=False)})
    return [made[name].numpy() for name in ready.outputs]


def folded(build: Callable[..., Any], *values: Array) -> list[Array]:
    """Return what PyMIL itself makes of constants."""
    found: list[Array] = []

    def whole(x: Any) -> Any:
        made = build(*(mb.const(val=v) for v in values))
        found.extend(np.asarray(var.val) for var in (made if isinstance(made, list | tuple) else [made]))
        assert all(value.dtype != object for value in found), "PyMIL does not fold this one"
        return mb.identity(x=x)

    mb.program(input_specs=[mb.TensorSpec(shape=(1,))], opset_version=ct.target.iOS17)(whole)
    return found


def normal(*shape: int) -> Array:
    return NUMBERS.standard_normal(shape).astype(np.float32)


def named(name: str, **written: Any) -> Callable[[Any], Any]:
    return lambda x: getattr(mb, name)(x=x, **written)


PLAIN = ("abs", "ceil", "cos", "erf", "exp", "exp2", "floor", "round", "sign", "sin", "square", "sqrt", "relu",
         "sigmoid", "softplus", "softsign", "tanh")  # fmt: skip
REDUCING = ("mean", "sum", "max", "min", "l2_norm", "l1_norm", "sum_square", "log_sum_exp")
NO, YES = False, True
ONE: Mapping[str, Callable[[Any], Any]] = {
    **{name: named(name) for name in PLAIN},
    **{f"reduce_{name}": named(f"reduce_{name}", axes=[2, -1], keep_dims=True) for name in REDUCING},
    "reduce all": named("reduce_mean", axes=[0, 1, 2, 3], keep_dims=False),
    "reduce_argmax": named("reduce_argmax", axis=1, keep_dims=False),
    "reduce_argmin": named("reduce_argmin", axis=-1, keep_dims=True),
    "rsqrt": named("rsqrt", epsilon=1e-3),
    "inverse": named("inverse", epsilon=1e-3),
    "log": named("log", epsilon=1e-3),
    "clip": named("clip", alpha=-0.5, beta=0.7),
    "elu": named("elu", alpha=0.3),
    "leaky_relu": named("leaky_relu", alpha=0.2),
    "prelu": named("prelu", alpha=np.array([0.1, 0.2, 0.3], np.float32)),
    "clamped_relu": named("clamped_relu", alpha=0.1, beta=0.6),
    "threshold": named("threshold", alpha=0.2),
    "thresholded_relu": named("thresholded_relu", alpha=0.2),
    "linear_activation": named("linear_activation", alpha=2.0, beta=0.5),
    "sigmoid_hard": named("sigmoid_hard", alpha=0.3, beta=0.4),
    "scaled_tanh": named("scaled_tanh", alpha=0.5, beta=1.5),
    "gelu": named("gelu", mode="EXACT"),
    "gelu tanh": named("gelu", mode="TANH_APPROXIMATION"),
    "gelu sigmoid": named("gelu", mode="SIGMOID_APPROXIMATION"),
    "softmax": named("softmax", axis=1),
    "transpose": named("transpose", perm=[2, 0, 1, 3]),
    "reshape": named("reshape", shape=[3, -1]),
    "expand_dims": named("expand_dims", axes=[0, -1]),
    "squeeze": named("squeeze", axes=[0]),
    "tile": named("tile", reps=[1, 2, 1, 3]),
    "reverse": named("reverse", axes=[1, 3]),
    "split even": lambda x: list(mb.split(x=x, num_splits=3, axis=1)),
    "split uneven": lambda x: list(mb.split(x=x, split_sizes=[1, 3], axis=2)),
    "slice_by_size": named("slice_by_size", begin=[0, 1, 0, 2], size=[1, 2, -1, 3]),
    "slice masked": named("slice_by_index", begin=[0, 0, 1, 1], end=[1, 2, 3, 4], begin_mask=[YES, NO, NO, NO],
                          end_mask=[NO, NO, YES, NO], squeeze_mask=[YES, NO, NO, NO]),
    "slice backwards": named("slice_by_index", begin=[0, 2, 0, 4], end=[1, 0, 4, 0], stride=[1, -1, 2, -2],
                             end_mask=[NO, YES, NO, NO]),
    "gather": named("gather", indices=np.array([[2, 0], [-1, 1]], np.int32), axis=1),
    "concat": lambda x: mb.concat(values=[x, x], axis=2),
    "stack": lambda x: mb.stack(values=[x, x], axis=1),
    "cast": named("cast", dtype="int32"),
    "cast to half": lambda x: mb.cast(x=mb.cast(x=x, dtype="fp16"), dtype="fp32"),
    "pad": named("pad", pad=[0, 0, 0, 0, 1, 2, 3, 0], mode="constant", constant_val=0.5),
    "pad reflected": named("pad", pad=[0, 0, 0, 0, 1, 2, 3, 0], mode="reflect"),
    "pad replicated": named("pad", pad=[1, 2, 3, 0], mode="replicate"),
}  # fmt: skip
POSITIVE = ("sqrt", "rsqrt", "inverse", "log")
TWO = ("add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum", "equal", "not_equal", "less",
       "less_equal", "greater", "greater_equal")  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_an_operation_of_one_tensor_is_what_pymil_folds_it_to(name: str) -> None:
    value = normal(1, 3, 4, 5)
    value = np.abs(value) + np.float32(0.01) if name in POSITIVE else value
    try:
        wanted = folded(ONE[name], value)
    except (AssertionError, NotImplementedError):
        wanted = [_by_torch(name, value)]
    got = run(ONE[name], value)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def _by_torch(name: str, value: Array) -> Array:
    """Answer for what PyMIL leaves to Core ML."""
    x = torch.from_numpy(value)
    answers: Mapping[str, Callable[[], torch.Tensor]] = {
        "pad reflected": lambda: nn.functional.pad(x, (3, 0, 1, 2), mode="reflect"),
        "pad replicated": lambda: nn.functional.pad(x, (3, 0, 1, 2), mode="replicate"),
        "exp2": lambda: 2**x,
        "gelu sigmoid": lambda: x / (1 + torch.exp(-1.702 * x)),
        "reverse": lambda: torch.from_numpy(value[:, ::-1, :, ::-1].copy()),
        "clamped_relu": lambda: torch.where(x < 0, 0.1 * x, x).clamp(max=0.6),
        "reduce_argmax": lambda: x.argmax(1),
        "reduce_argmin": lambda: x.argmin(-1, keepdim=True),
        "cast to half": lambda: x.half().float(),
        "stack": lambda: torch.stack([x, x], 1),
        "softmax": lambda: x.exp() / x.exp().sum(1, keepdim=True),
    }
    return answers[name]().numpy()


@pytest.mark.parametrize("name", TWO)
@settings(max_examples=10)
@given(data=st.data())
def test_an_operation_of_two_tensors_is_what_pymil_folds_it_to(name: str, data: st.DataObject) -> None:
    levels = st.sampled_from([-3.5, -2.0, -0.5, 0.25, 1.0, 2.0, 7.5])
    x, y = (
        np.array(data.draw(st.lists(levels, min_size=n, max_size=n)), np.float32).reshape(s)
        for n, s in ((6, (2, 3)), (3, (1, 3)))
    )

    def build(a: Any, b: Any) -> Any:
        made = getattr(mb, name)(x=a, y=b)
        return mb.cast(x=made, dtype="fp32") if made.dtype == types.bool else made

    np.testing.assert_allclose(run(build, x, y)[0], folded(build, x, y)[0], rtol=1e-6)


def test_whole_numbers_divide_towards_zero() -> None:
    whole = np.array([-7, 7, 5], np.int32)
    three = np.array([3, -3, 2], np.int32)
    ready = program(lambda x, y: mb.real_div(x=x, y=y), (3,), (3,), dtype=types.int32)
    made = ready.evaluate({"x": torch.from_numpy(whole), "y": torch.from_numpy(three)})
    assert made[ready.outputs[0]].tolist() == [-2, -2, 2]


@settings(max_examples=25)
@given(st.sampled_from(["valid", "same", "same_lower", "custom"]), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_a_convolution_is_the_sum_that_it_says(kind: str, stride: int, dilation: int, depthwise: bool) -> None:
    x, groups = normal(1, 4, 9, 8), 4 if depthwise else 1
    weight, bias = normal(4, 4 // groups, 3, 2), normal(4)
    pad = [1, 0, 2, 1]

    def build(value: Any) -> Any:
        return mb.conv(x=value, weight=weight, bias=bias, strides=[stride] * 2, dilations=[dilation] * 2,
                       groups=groups, pad_type=kind, **({"pad": pad} if kind == "custom" else {}))  # fmt: skip

    (got,) = run(build, x)
    if kind.startswith("same"):
        pad = []
        for length, width in zip((9, 8), (3, 2), strict=True):
            total = max(0, (-(-length // stride) - 1) * stride + (width - 1) * dilation + 1 - length)
            small = total // 2
            pad += [small, total - small] if kind == "same" else [total - small, small]
    padded = np.pad(x, ((0, 0), (0, 0), *_pairs(pad if kind != "valid" else [0] * 4)))
    wanted = np.zeros_like(got)
    for channel, row, column in np.ndindex(*got.shape[1:]):
        inputs = slice(channel, channel + 1) if depthwise else slice(None)
        rows = slice(row * stride, row * stride + 2 * dilation + 1, dilation)
        columns = slice(column * stride, column * stride + dilation + 1, dilation)
        wanted[0, channel, row, column] = (padded[0, inputs, rows, columns] * weight[channel]).sum() + bias[channel]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def _pairs(pad: list[int]) -> list[tuple[int, int]]:
    return list(zip(pad[::2], pad[1::2], strict=True))


@pytest.mark.parametrize("output_padding", [0, 1])
def test_a_convolution_backwards_is_torchs(output_padding: int) -> None:
    torch.manual_seed(0)
    net = nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=output_padding, groups=2)
    assert net.bias is not None
    weight, bias = net.weight.detach().numpy(), net.bias.detach().numpy()
    x = normal(1, 4, 5, 6)
    wanted = net(torch.from_numpy(x)).detach().numpy()

    def build(value: Any) -> Any:
        return mb.conv_transpose(x=value, weight=weight, bias=bias, strides=[2, 2], pad_type="custom",
                                 pad=[1, 1, 1, 1], groups=2, output_shape=list(wanted.shape))  # fmt: skip

    np.testing.assert_allclose(run(build, x)[0], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("pad", [[1, 1, 1, 1], [1, 0, 1, 1]])
def test_pools_count_padding_as_they_say(exclude: bool, pad: list[int]) -> None:
    x = normal(1, 2, 7, 8)
    where = {"kernel_sizes": [3, 2], "strides": [2, 1], "pad_type": "custom", "pad": pad}
    mean = run(lambda v: mb.avg_pool(x=v, exclude_padding_from_average=exclude, **where), x)[0]
    most = run(lambda v: mb.max_pool(x=v, **where), x)[0]
    edges = ((0, 0), (0, 0), *_pairs(pad))
    zeros, lows = np.pad(x, edges), np.pad(x, edges, constant_values=-np.inf)
    inside = np.pad(np.ones_like(x), edges)
    for row, column in np.ndindex(*mean.shape[2:]):
        window = (slice(None), slice(None), slice(2 * row, 2 * row + 3), slice(column, column + 2))
        count = inside[window].sum((2, 3)) if exclude else 6
        np.testing.assert_allclose(mean[:, :, row, column], zeros[window].sum((2, 3)) / count, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(most[:, :, row, column], lows[window].max((2, 3)))


def test_norms_are_what_they_say() -> None:
    x, gamma, beta = normal(2, 3, 4, 5), normal(3), normal(3)
    mean, var = normal(3), np.abs(normal(3))
    shaped = [v.reshape(1, 3, 1, 1) for v in (gamma, beta, mean, var)]
    got = run(lambda v: mb.batch_norm(x=v, mean=mean, variance=var, gamma=gamma, beta=beta, epsilon=1e-3), x)[0]
    np.testing.assert_allclose(
        got, (x - shaped[2]) / np.sqrt(shaped[3] + 1e-3) * shaped[0] + shaped[1], rtol=1e-4, atol=1e-5
    )
    for axes, build in (
        ((2, 3), lambda v: mb.instance_norm(x=v, gamma=gamma, beta=beta, epsilon=1e-3)),
        ((1,), lambda v: mb.layer_norm(x=v, axes=[1], gamma=gamma, beta=beta, epsilon=1e-3)),
    ):
        centred = x - x.mean(axes, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-3)
        np.testing.assert_allclose(run(build, x)[0], normed * shaped[0] + shaped[1], rtol=1e-4, atol=1e-5)
    last = run(lambda v: mb.layer_norm(x=v, axes=[-1], epsilon=1e-3), x)[0]
    centred = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(
        last, centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3), rtol=1e-4, atol=1e-5
    )


def test_products_resizes_and_choices_are_what_they_say() -> None:
    x, y, z = normal(1, 2, 3, 4), normal(1, 4, 3, 5), normal(1, 2, 5, 4)
    np.testing.assert_allclose(
        run(lambda a, b: mb.matmul(x=a, y=b, transpose_y=True), x, z)[0],
        x @ z.transpose(0, 1, 3, 2),
        rtol=1e-5,
        atol=1e-6,
    )
    weight, bias = normal(6, 4), normal(6)
    np.testing.assert_allclose(
        run(lambda a: mb.linear(x=a, weight=weight, bias=bias), x)[0], x @ weight.T + bias, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        run(lambda a, b: mb.einsum(values=[a, b], equation="nchw,nwhu->nchu"), x, y)[0],
        np.einsum("nchw,nwhu->nchu", x, y), rtol=1e-5, atol=1e-6)  # fmt: skip
    image = torch.from_numpy(x)
    for corners in (True, False):
        got = run(lambda a, c=corners: mb.upsample_bilinear(
            x=a, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=c), x)[0]  # fmt: skip
        wanted = nn.functional.interpolate(image, scale_factor=(2, 3), mode="bilinear", align_corners=corners)
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-6)
    near = run(lambda a: mb.upsample_nearest_neighbor(x=a, scale_factor_height=2, scale_factor_width=2), x)[0]
    np.testing.assert_array_equal(near, x.repeat(2, 2).repeat(2, 3))
    chosen = run(lambda a, b: mb.select(cond=mb.greater(x=a, y=b), a=a, b=b), x, x[:, ::-1].copy())[0]
    np.testing.assert_array_equal(chosen, np.maximum(x, x[:, ::-1]))
    shuffled = run(lambda a: mb.pixel_shuffle(x=a, upscale_factor=2), normal(1, 4, 3, 3))[0]
    assert shuffled.shape == (1, 1, 6, 6)


POINTS: Mapping[str, Mapping[int, list[float]]] = {
    "UNALIGN_CORNERS": {5: [0, 0.1, 0.5, 0.9, 1], 6: [0, 0, 1 / 3, 2 / 3, 1, 1]},
    "STRICT_ALIGN_CORNERS": {5: [0, 0.25, 0.5, 0.75, 1], 1: [0]},
    "ALIGN_CORNERS": {5: [0, 0.25, 0.5, 0.75, 1], 1: [0.5]},
    "DEFAULT": {5: [0, 0.4, 0.8, 1, 1], 6: [0, 1 / 3, 2 / 3, 1, 1, 1]},
    "OFFSET_CORNERS": {5: [0.1, 0.3, 0.5, 0.7, 0.9], 6: [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12]},
}
"""Where the reference of MIL's operations says that the points lie between two pixels, 0 and 1."""


@pytest.mark.parametrize("mode", POINTS)
def test_a_picture_is_sampled_where_its_mode_says(mode: str) -> None:
    ramp = np.array([[[[0, 1]]]], np.float32)
    for size, points in POINTS[mode].items():
        for value, size_hw in ((ramp, (1, size)), (ramp.transpose(0, 1, 3, 2), (size, 1))):
            sides = dict(zip(("target_size_height", "target_size_width"), size_hw, strict=True))
            (got,) = run(named("resize_bilinear", **sides, sampling_mode=mode), np.ascontiguousarray(value))
            assert got.shape == (1, 1, *size_hw)
            np.testing.assert_allclose(got.ravel(), points, rtol=1e-5, atol=1e-6)


def test_a_picture_is_sampled_by_default_as_default_says() -> None:
    ramp = np.array([[[[0, 1]]]], np.float32)
    (got,) = run(named("resize_bilinear", target_size_height=1, target_size_width=5), ramp)
    np.testing.assert_allclose(got[0, 0, 0], POINTS["DEFAULT"][5], rtol=1e-6)


@pytest.mark.parametrize(
    ("switches", "mode"),
    [
        ({}, "STRICT_ALIGN_CORNERS"),
        ({"align_corners": True, "half_pixel_centers": False}, "STRICT_ALIGN_CORNERS"),
        ({"align_corners": False}, "UNALIGN_CORNERS"),
        ({"align_corners": False, "half_pixel_centers": True}, "UNALIGN_CORNERS"),
        ({"align_corners": False, "half_pixel_centers": False}, "DEFAULT"),
    ],
)
def test_upsampling_says_with_two_switches_where_its_points_lie(switches: Mapping[str, bool], mode: str) -> None:
    ramp = np.array([[[[0, 1]]]], np.float32)
    (got,) = run(named("upsample_bilinear", scale_factor_width=2.5, **switches), ramp)
    np.testing.assert_allclose(got[0, 0, 0], POINTS[mode][5], rtol=1e-5, atol=1e-6)


def test_a_way_to_resize_that_nobody_knows_is_refused_by_name() -> None:
    both = {"align_corners": True, "half_pixel_centers": True}
    for name, written, told in (
        ("upsample_bilinear", {"scale_factor_width": 2, **both}, "aligned and pixels centred at once"),
        (
            "resize_nearest_neighbor",
            {"target_size_height": 4, "target_size_width": 6},
            "nearest is not known .* 4 to 6",
        ),
    ):
        ready = program(named(name, **written), (1, 1, 4, 4))
        with pytest.raises(EngineError, match=rf"'{name}', which makes '{name}_[0-9]+', .*{told}.* on a Mac"):
            ready.evaluate({"x": torch.zeros(1, 1, 4, 4)})
    ready = program(named("resize_bilinear", target_size_height=4, target_size_width=4), (1, 1, 2, 2))
    node = replace(ready.nodes[0], written={**ready.nodes[0].written, "sampling_mode": "CUBIC"})
    with pytest.raises(EngineError, match=r"mode 'CUBIC' is not known; known are STRICT_ALIGN_CORNERS"):
        replace(ready, nodes=(node,)).evaluate({"x": torch.zeros(1, 1, 2, 2)})


def test_a_split_into_one_part_is_that_part() -> None:
    x = normal(2, 3)
    (got,) = run(lambda v: mb.split(x=v, num_splits=1, axis=1), x)
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize(
    ("shape", "wanted"), [([0, -1], (2, 12)), ([4, 0, -1], (4, 2, 3)), ([-1], (24,)), ([0, 0, 0, 0], (1, 2, 3, 4))]
)
def test_a_zero_in_a_shape_is_the_inputs_own(shape: list[int], wanted: tuple[int, ...]) -> None:
    value = normal(2, 3, 4)
    if shape == [4, 0, -1]:
        value = value.reshape(4, 2, 3)
    elif shape == [0, -1]:
        value = value.reshape(2, 12)
    (got,) = run(named("reshape", shape=shape), value)
    assert got.shape == wanted
    np.testing.assert_array_equal(got.ravel(), value.ravel())


def test_quantised_activations_keep_their_levels() -> None:
    x = np.array([[-3.0, -0.26, 0.0, 0.24, 9.0]], np.float32)

    def build(value: Any) -> Any:
        levels = mb.quantize(input=value, scale=np.float32(0.05), output_dtype="int8")
        return mb.dequantize(input=levels, scale=np.float32(0.05))

    np.testing.assert_allclose(run(build, x)[0], [[-3.0, -0.25, 0.0, 0.25, 6.35]], atol=1e-6)


def test_half_values_are_rounded_after_every_operation() -> None:
    def build(x: Any) -> Any:
        return mb.cast(x=mb.mul(x=mb.add(x=x, y=np.float16(1)), y=np.float16(3)), dtype="fp32")

    ready = program(build, (4,), dtype=types.fp16)
    value = torch.tensor([0.1, 1e-4, 300.0, 40000.0])
    (got,) = ready.evaluate({"x": value}).values()
    half = value.half()
    assert ready.half
    assert torch.equal(got, ((half + 1) * 3).float())
    assert torch.isinf(got[3])


def test_exact_operations_only_move_numbers_of_fp16() -> None:
    assert set(TABLE) >= EXACT
    half = NUMBERS.standard_normal((1, 3, 4, 5)).astype(np.float16).astype(np.float32)
    for name in EXACT & set(ONE):
        for value in run(ONE[name], half):
            np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32), err_msg=name)


def test_an_operation_that_nobody_knows_is_named() -> None:
    with pytest.raises(EngineError, match=r"does not know the operation 'cumsum' .*on a Mac"):
        program(lambda x: mb.cumsum(x=x, axis=0), (3,))


def test_a_result_of_another_shape_than_promised_is_never_passed_on() -> None:
    ready = program(lambda x: mb.relu(x=x), (2, 3))
    (node,) = ready.nodes
    for change in ({"shape": (3, 2)}, {"kind": "int32"}):
        wrong = replace(node, outputs=(replace(node.outputs[0], **change),))
        with pytest.raises(BadOutputError, match=r"'relu' made .* \(2, 3\)"):
            replace(ready, nodes=(wrong,)).evaluate({"x": torch.zeros(2, 3)})


MADE_TO_SHAPE: Mapping[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "reshape": (named("reshape", shape=[3, 8]), (2, 3, 4)),
    "squeeze": (named("squeeze", axes=[0]), (1, 3, 4)),
    "expand_dims": (named("expand_dims", axes=[1]), (3, 4)),
    "resize_bilinear": (named("resize_bilinear", target_size_height=6, target_size_width=4), (1, 1, 3, 4)),
    "resize_nearest_neighbor": (
        named("resize_nearest_neighbor", target_size_height=6, target_size_width=4), (1, 1, 3, 4)),
    "upsample_bilinear": (named("upsample_bilinear", scale_factor_height=2), (1, 1, 3, 4)),
    "upsample_nearest_neighbor": (named("upsample_nearest_neighbor", scale_factor_height=2), (1, 1, 3, 4)),
    "conv_transpose": (named("conv_transpose", weight=np.ones((1, 1, 2, 2), np.float32), strides=[2, 2]), (1, 1, 3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_TO_SHAPE)
def test_what_makes_a_shape_makes_the_one_that_its_arguments_say(name: str) -> None:
    """A result that took its shape from the promise would agree with any."""
    build, shape = MADE_TO_SHAPE[name]
    ready = program(build, shape)
    (node,) = ready.nodes
    ready.evaluate({"x": torch.zeros(shape)})
    promise = node.outputs[0]
    for other in (promise.shape[::-1], (*promise.shape, 1)):
        wrong = replace(node, outputs=(replace(promise, shape=other),))
        with pytest.raises(BadOutputError, match=rf"'{name}' made '{promise.name}' of the shape"):
            replace(ready, nodes=(wrong,)).evaluate({"x": torch.zeros(shape)})


def test_a_fill_has_the_shape_and_kind_of_its_own_arguments() -> None:
    """PyMIL folds every fill whose shape it knows, so the node is made by hand."""
    given = {"shape": torch.tensor([2, 3], dtype=torch.int32), "value": torch.tensor(7, dtype=torch.int32)}
    node = mil_program.Node("fill", TABLE["fill"], (), given, {}, (mil_program.Promise("f", (2, 3), "int32"),))
    ready = MilProgram((node,), (), {}, ("f",))
    assert ready.evaluate({})["f"].tolist() == [[7, 7, 7], [7, 7, 7]]
    for change in ({"shape": (3, 2)}, {"kind": "fp32"}):
        wrong = replace(node, outputs=(replace(node.outputs[0], **change),))
        with pytest.raises(BadOutputError, match=r"'fill' made 'f' of the shape \(2, 3\)"):
            replace(ready, nodes=(wrong,)).evaluate({})


def test_what_torch_cannot_compute_is_told_by_operation_and_output() -> None:
    weight = np.ones((6, 4), np.float32)
    ready = program(lambda x: mb.linear(x=x, weight=weight, name="scores"), (2, 4))
    (node,) = ready.nodes
    damaged = replace(node, fixed={**node.fixed, "weight": torch.ones(6, 5)})
    with pytest.raises(EngineError, match=r"'linear', which makes 'scores', cannot be computed: .*damaged.*on a Mac"):
        replace(ready, nodes=(damaged,)).evaluate({"x": torch.zeros(2, 4)})
    few = replace(node, function=lambda a, n: (a["x"], a["x"]))
    with pytest.raises(BadOutputError, match="made 2 results; the program promises 1"):
        replace(ready, nodes=(few,)).evaluate({"x": torch.zeros(2, 4)})


def test_spent_memory_is_told_as_that_and_not_as_a_damaged_package() -> None:
    def spend(a: Any, node: Any) -> torch.Tensor:
        raise MemoryError

    ready = program(lambda x: mb.relu(x=x), (2,))
    with pytest.raises(MemoryError):
        replace(ready, nodes=(replace(ready.nodes[0], function=spend),)).evaluate({"x": torch.zeros(2)})


def test_an_input_that_does_not_fit_is_told() -> None:
    ready = program(lambda x: mb.relu(x=x), (2, 3))
    with pytest.raises(EngineError, match=r"'x' of the shape \(2, 3\); it was given the shape \(3, 2\)"):
        ready.evaluate({"x": torch.zeros(3, 2)})
    with pytest.raises(EngineError, match="given nothing"):
        ready.evaluate({})


def test_what_no_output_needs_is_not_computed_and_nothing_is_kept() -> None:
    def build(x: Any) -> Any:
        wanted = mb.relu(x=x, name="wanted")
        return wanted, mb.softmax(x=mb.exp(x=x), name="other")

    made = mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))])(build)
    ready = mil_program._prepared(made.functions["main"], ["wanted"])
    assert [node.operation for node in ready.nodes] == ["relu"]
    assert ready.nodes[0].last_uses == ("x",)
    with pytest.raises(EngineError, match="no output 'logits'; it has wanted, other"):
        mil_program._prepared(made.functions["main"], ["logits"])


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


@pytest.fixture(scope="module")
def traced(small: ModelDef) -> Traced:
    return trace("main", small.graphs["main"], "coreml", batch=1, dynamic=False)


@pytest.fixture(scope="module")
def packages(small: ModelDef, traced: Traced, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return a package of fp32 and one of fp16."""
    made = {}
    for precision in ("fp32", "fp16"):
        folder = tmp_path_factory.mktemp(precision)
        coreml.convert(traced, Job(find_format("coreml"), precision, small.spec, folder, model="small"))
        made[precision] = folder / coreml.FILE
    return made


def pixels(count: int = 2) -> Array:
    return NUMBERS.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def levels_of(picture: Array) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_sound_package_has_no_layer_that_jumps(
    small: ModelDef, traced: Traced, packages: Mapping[str, Path], precision: str
) -> None:
    found = mil_layers.against_torch(packages[precision], traced, small.spec, pixels(), precision)
    names = [layer.name for layer in found.layers]
    assert {"head_linear_1", "qkv_linear"} <= set(names)
    assert not found.jumps
    assert found.worst.figure < {"fp32": 1e-5, "fp16": 5e-3}[precision]


@pytest.mark.parametrize(("weight", "layer"), [("qkv_weight", "qkv_linear"), ("head_weight", "head_linear_1")])
def test_the_layer_of_a_changed_weight_is_named(
    small: ModelDef, traced: Traced, packages: Mapping[str, Path], tmp_path: Path, weight: str, layer: str
) -> None:
    changed = tmp_path / coreml.FILE
    shutil.copytree(packages["fp32"], changed)
    change_weight(changed, weight, 0.25)
    found = mil_layers.against_torch(changed, traced, small.spec, pixels(), "fp32")
    assert found.jumps
    assert found.worst.name == layer
    others = [other.figure for other in found.layers if other.name != layer]
    assert max(others) < 1e-4  # the error is told where it stands and nowhere behind


def test_a_package_of_another_model_is_not_compared(packages: Mapping[str, Path]) -> None:
    ready = mil_program.read(packages["fp32"])
    with pytest.raises(EngineError, match="another model"):
        mil_layers.compare(ready, {"layer4": torch.zeros(1)}, {"image": levels_of(pixels(1)[0])}, "fp32")


def test_what_leaves_the_range_of_fp16_is_named(small: ModelDef, tmp_path: Path) -> None:
    class Loud(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quiet = small_nets.SmallNet()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.quiet(image) * 1e6
            return scores.abs().sqrt() - 3

    loud = trace("main", ModelDef.from_module(Loud(), small.spec).graphs["main"], "coreml", batch=1, dynamic=False)
    for precision in ("fp32", "fp16"):
        (tmp_path / precision).mkdir()
        coreml.convert(loud, Job(find_format("coreml"), precision, small.spec, tmp_path / precision, model="loud"))
        seen = mil_layers.audit(tmp_path / precision / coreml.FILE, [{"image": levels_of(p)} for p in pixels()])
        assert seen.overflowing[0].name.startswith("model_mul")
        assert seen.largest.figure > 65504


def test_a_calm_model_stays_in_the_range_of_fp16(packages: Mapping[str, Path]) -> None:
    seen = mil_layers.audit(packages["fp16"], [{"image": levels_of(p)} for p in pixels()])
    assert seen.overflowing == ()
    assert 1 < seen.largest.figure < 1000
    assert len(seen.layers) > 10


def test_who_only_hands_infinity_on_is_not_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of minus infinity is meant; what overflows behind it is told all the same."""

    def build(x: Any) -> Any:
        masked = mb.add(x=x, y=np.array([0, -np.inf, 0], np.float16), name="masked")
        shifted = mb.add(x=masked, y=np.float16(1), name="shifted")
        loud = mb.mul(x=shifted, y=np.float16(4000), name="loud")
        return mb.add(x=loud, y=np.float16(1), name="behind")

    ready = program(build, (3,), dtype=types.fp16)
    monkeypatch.setattr(mil_layers, "read", lambda package: ready)
    calm, wild = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 2, 30])
    assert mil_layers.audit(Path(), [{"x": calm}]).overflowing == ()
    seen = mil_layers.audit(Path(), [{"x": wild}, {"x": calm}])
    assert [(layer.name, layer.figure) for layer in seen.overflowing] == [("loud", 124000)]


def test_infinity_from_nowhere_is_the_makers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = program(lambda x: mb.sqrt(x=mb.exp(x=x, name="loud")), (1,), dtype=types.fp16)
    monkeypatch.setattr(mil_layers, "read", lambda package: ready)
    (layer,) = mil_layers.audit(Path(), [{"x": torch.tensor([100.0])}]).overflowing
    assert layer.name == "loud"
    assert layer.figure == float("inf")


def test_the_engine_answers_by_the_manifests_names_until_it_is_closed(
    small: ModelDef, traced: Traced, packages: Mapping[str, Path]
) -> None:
    graph = GraphFile(coreml.FILE, "main", traced.inputs, traced.outputs, "interpreted")
    engine = mil.load(packages["fp16"], graph, None)
    assert "fp16, rounded after every operation" in engine.description
    (name,) = engine.run({"image": levels_of(pixels(1)[0]).numpy()})
    assert name == "logits"
    with pytest.raises(EngineError, match=r"cannot take such an input: .*float32"):
        engine.run({"image": np.array(["a picture"], object)})
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.run({})


@pytest.mark.parametrize("damage", ["cut", "emptied", "gone", "no weights", "cut weights"])
def test_a_damaged_package_is_one_sentence(packages: Mapping[str, Path], tmp_path: Path, damage: str) -> None:
    place = tmp_path / coreml.FILE
    shutil.copytree(packages["fp32"], place)
    (model,), (weights,) = place.rglob("*.mlmodel"), place.rglob("weight.bin")
    if damage == "gone":
        shutil.rmtree(place)
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        model.write_bytes(model.read_bytes()[:-40] if damage == "cut" else b"")
    with pytest.raises(EngineError, match=r"readable|is damaged|no output"):
        mil_program.read(place, ["logits"])


def test_without_torch_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "edgevit.exporters.mil_program", None)
    graph = GraphFile(coreml.FILE, "main", (), (), "interpreted")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevit\[models\]'"):
        mil.load(tmp_path, graph, None)
