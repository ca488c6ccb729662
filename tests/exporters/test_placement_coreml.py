"""What the rules of the Neural Engine say of Core ML programs, and that programs are read as coremltools reads them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mil_files import Made, save

from edgevit.errors import BundleError
from edgevit.exporters.placement import Op, Placement, place_files
from edgevit.exporters.placement.mil_file import ANY, read_program
from edgevit.exporters.placement.protobuf import Message
from edgevit.manifest import GraphFile

SHAPE = (1, 3, 32, 32)
WIDE = (1, 8, 32, 32)
CONV = Made("conv", {"x": "image"}, "conv_1", WIDE, weight=(8, 3, 3, 3))


def placed(package: Path) -> Placement:
    return place_files("coreml", "fp16", {"main": (package, GraphFile("m", "main", (), (), "interpreted"))})


def only(folder: Path, made: Made, shape: tuple[int, ...] = SHAPE, dtype: str = "fp16") -> Op:
    """Return what is said of a program of one operation."""
    (view,) = placed(save(folder / "model.mlpackage", [made], shape, dtype)).views
    assert view.unit == "the Neural Engine"
    assert view.basis == "rule"
    (op,) = view.ops
    return op


def test_what_breaks_no_rule_is_said_to_run_there(tmp_path: Path) -> None:
    op = only(tmp_path, CONV)
    assert (op.where, op.why, op.falls_back, op.name) == ("Neural Engine", "", False, "conv_1")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Made("gather", {"x": "image"}, "y", WIDE), "not among the operations"),
        (Made("lstm", {"x": "image"}, "y", WIDE), "not among the operations"),
        (replace(CONV, dtype="fp32"), "computes in fp32"),
        (Made("cast", {"x": "image"}, "y", WIDE, "int32"), "computes in int32"),
        (Made("reshape", {"x": "image"}, "y", (1, 1, 1, 3, 32, 32)), "6 dimensions"),
        (Made("reshape", {"x": "image"}, "y", (1, 3, -1, 32)), "known only at run time"),
        (Made("reshape", {"x": "image"}, "y", (1, 20000)), "a side of 20000"),
        (replace(CONV, weight=(8, 3, 15, 15)), "a window of 15"),
        (Made("avg_pool", {"x": "image"}, "y", WIDE, constants={"kernel_sizes": (31, 31)}), "a window of 31"),
        (Made("pad", {"x": "image"}, "y", WIDE, constants={"mode": "reflect"}), "it pads by reflect"),
    ],
)
def test_what_breaks_a_rule_leaves_the_neural_engine(tmp_path: Path, made: Made, why: str) -> None:
    op = only(tmp_path, made)
    assert op.falls_back
    assert op.where == "CPU or GPU"
    assert why in op.why


@pytest.mark.parametrize(
    "made",
    [
        replace(CONV, weight=(8, 3, 13, 13)),
        Made("pad", {"x": "image"}, "y", WIDE, constants={"mode": "constant"}),
        Made("reshape", {"x": "image"}, "y", (1, 1, 3, 32, 32)),
        Made("reshape", {"x": "image"}, "y", (1, 3, 16384)),
        Made("quantize", {"input": "image"}, "y", SHAPE, "int8"),
    ],
)
def test_the_limits_themselves_are_within(tmp_path: Path, made: Made) -> None:
    assert not only(tmp_path, made).falls_back


def test_a_layout_that_is_slow_is_told_and_does_not_fall_back(tmp_path: Path) -> None:
    tokens = only(tmp_path, Made("linear", {"x": "image"}, "y", (1, 196, 64), weight=(64, 64)))
    assert (tokens.falls_back, tokens.where) == (False, "Neural Engine")
    assert tokens.why.startswith("slower: 3 dimensions")


def test_a_last_axis_of_one_is_told(tmp_path: Path) -> None:
    thin = only(tmp_path, Made("softmax", {"x": "image"}, "y", (1, 64, 196, 1)))
    assert "last axis of 1" in thin.why
    assert not thin.falls_back


def test_casts_at_the_border_and_the_label_are_no_fallback(tmp_path: Path) -> None:
    assert only(tmp_path, Made("cast", {"x": "image"}, "y", SHAPE), dtype="fp32").where == "CPU"


def test_scaling_the_picture_in_front_of_fp16_is_no_fallback_and_fp32_behind_it_is(tmp_path: Path) -> None:
    made = [
        Made("mul", {"x": "image"}, "scaled", SHAPE, "fp32"),
        Made("add", {"x": "scaled"}, "biased", SHAPE, "fp32"),
        Made("cast", {"x": "biased"}, "half", SHAPE),
        replace(CONV, inputs={"x": "half"}),
        Made("cast", {"x": "conv_1"}, "whole", WIDE, "fp32"),
        Made("mul", {"x": "whole"}, "late", WIDE, "fp32"),
        Made("relu", {"x": "image"}, "early", SHAPE, "fp32"),
    ]
    placement = placed(save(tmp_path / "model.mlpackage", made, SHAPE, "fp32"))
    where = {op.name: op.where for op in placement.views[0].ops}
    assert [where[n] for n in ("scaled", "biased", "half", "conv_1")] == ["CPU", "CPU", "CPU", "Neural Engine"]
    assert [op.name for op in placement.fallbacks] == ["late", "early"]


def test_unpacking_weights_is_no_operation(tmp_path: Path) -> None:
    made = [
        Made("constexpr_lut_to_dense", {}, "w", (8, 3, 15, 15)),
        replace(CONV, inputs={"x": "image", "weight": "w"}, weight=()),
    ]
    (view,) = placed(save(tmp_path / "model.mlpackage", made, SHAPE)).views
    (op,) = view.ops
    assert op.kind == "conv"
    assert "a window of 15" in op.why  # the unpacked weight's shape counts
    assert "weights stored compressed: 1" in view.notes[1]


def test_constants_and_varying_sides_are_read(tmp_path: Path) -> None:
    made = Made("pad", {"x": "image"}, "y", (1, 3, -1, 40), constants={"mode": "reflect", "pad": (0, 0, 4, -4)})
    (operation,) = read_program(save(tmp_path / "model.mlpackage", [made], SHAPE))
    assert operation.constants == {"mode": ("reflect",), "pad": (0, 0, 4, -4)}
    assert operation.outputs[0].shape == (1, 3, ANY, 40)
    assert [t.name for t in operation.inputs] == ["image"]


@given(st.binary(max_size=60), st.integers(0, 300))
def test_a_damaged_package_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int) -> None:
    package = save(tmp_path_factory.mktemp("cut") / "model.mlpackage", [CONV], SHAPE)
    path = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    path.write_bytes(path.read_bytes()[:cut] + junk)
    with contextlib.suppress(BundleError):  # any other error is a fault of the reader
        read_program(package)


def test_a_package_without_a_program_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model.mlpackage" / "Data" / "com.apple.CoreML"
    folder.mkdir(parents=True)
    (folder / "model.mlmodel").write_bytes(b"\x08\x08")
    with pytest.raises(BundleError, match="no ML program"):
        read_program(tmp_path / "model.mlpackage")
    with pytest.raises(BundleError, match="not a readable Core ML package"):
        read_program(tmp_path / "nothing.mlpackage")


@pytest.mark.parametrize("data", [b"\x0b", b"\x0a\x05ab", b"\xff" * 11, b"\x08"])
def test_what_is_no_protobuf_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|wire type|too long"):
        Message(memoryview(data))


@pytest.mark.slow
def test_programs_are_read_as_coremltools_reads_them(tmp_path: Path) -> None:
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder

    weight = np.random.default_rng(0).normal(size=(8, 3, 5, 3)).astype(np.float32)

    @Builder.program(input_specs=[Builder.TensorSpec(shape=SHAPE)])  # type: ignore[untyped-decorator]
    def program(x: object) -> object:
        wide = Builder.conv(x=x, weight=weight, pad_type="same", dilations=[2, 1])
        return Builder.reduce_mean(x=Builder.gelu(x=wide), axes=[2, 3], keep_dims=False)

    path = tmp_path / "model.mlpackage"
    model = ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True)
    model.save(str(path))
    main = model.get_spec().mlProgram.functions["main"]
    wanted = [op for op in main.block_specializations[main.opset].operations if op.type != "const"]
    got = read_program(path)
    assert [op.kind for op in got] == [op.type for op in wanted]
    for mine, theirs in zip(got, wanted, strict=True):
        assert [t.name for t in mine.outputs] == [o.name for o in theirs.outputs]
        sides = [tuple(d.constant.size for d in o.type.tensorType.dimensions) for o in theirs.outputs]
        assert [t.shape for t in mine.outputs] == sides
    conv = next(op for op in got if op.kind == "conv")
    assert conv.constants["dilations"] == (2, 1)
    assert conv.constants["pad_type"] == ("same",)
    assert conv.weight_shape == weight.shape
