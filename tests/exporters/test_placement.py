"""Placement as a whole: bundles, what is told and kept of them, and the formats whose engine fixes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import executorch_files
import numpy as np
import onnx_files
import pytest
import small_nets
import tiny_bundles
from hypothesis import given
from hypothesis import strategies as st

import edgevit
from edgevit.bundle import Bundle, open_bundle
from edgevit.devices import load_device, load_file
from edgevit.errors import BundleError, ChecksumError, EngineError, InputError, SchemaError, UnknownNameError
from edgevit.exporters.placement import Op, Placement, View, place, place_files, summary
from edgevit.exporters.placement.place import PLACERS
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.runtime.engines.executorch_file import PLAIN, Contents
from edgevit.spec import TensorSpec


@pytest.fixture
def sealed(tmp_path: Path) -> Bundle:
    """Return a real ONNX bundle."""
    content = onnx_files.mean_classifier(tmp_path / "made.onnx").read_bytes()
    return tiny_bundles.write(tmp_path / "bundle", content=content)


def test_every_format_can_be_asked() -> None:
    assert set(PLACERS) == set(FORMATS)
    assert all(callable(PLACERS.load(name).look) for name in PLACERS)


def test_a_bundle_is_placed_by_its_path_and_by_itself(sealed: Bundle) -> None:
    found = place(sealed.path)
    assert found == place(sealed)
    assert (found.format, found.precision, found.device) == ("onnx", "fp32", None)
    assert sum(found.views[0].places().values()) >= 3
    assert {view.graph for view in found.views} == {"main"}


def test_nothing_is_written_into_the_bundle(sealed: Bundle) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in sealed.path.rglob("*"))
    place(sealed.path)
    assert sorted((p, p.stat().st_mtime_ns) for p in sealed.path.rglob("*")) == before


def test_a_changed_bundle_is_not_looked_into(sealed: Bundle) -> None:
    path = sealed.graph_file()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ChecksumError):
        place(sealed.path)


def test_another_device_can_be_named_and_an_unknown_one_is_answered(sealed: Bundle) -> None:
    assert place(sealed, device="raspberry-pi-5").device == "raspberry-pi-5"
    with pytest.raises(UnknownNameError, match="raspberry-pi-5"):
        place(sealed, device="raspbery-pi-5")


def own_device(path: Path) -> Path:
    """Write the facts of a board that does not ship: a Raspberry Pi 5 under another name."""
    facts = resources.files("edgevit.devices").joinpath("raspberry-pi-5.toml").read_bytes()
    path.write_bytes(facts.replace(b"Raspberry Pi 5", b"My board", 1))
    return path


def test_a_bundle_for_a_device_that_does_not_ship_is_placed_and_the_file_asked_for(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "made.onnx").read_bytes()
    bundle = tiny_bundles.write(tmp_path / "bundle", content=content, device="my-board")
    found = place(bundle)
    assert found.device is None
    assert found.views == place(bundle, device="host").views
    assert "'my-board'" in found.note
    assert found.note.endswith("--device my-board.toml")
    given = place(bundle, device=str(own_device(tmp_path / "my-board.toml")))
    assert (given.device, given.note) == ("my-board", "")


def test_a_device_file_cannot_pass_for_a_shipped_one(tmp_path: Path) -> None:
    """A manifest keeps the name alone: under a shipped name it would be read with other facts."""
    with pytest.raises(InputError, match=r"pixel-8\.toml' has the name of a device that ships.*my-pixel-8\.toml"):
        load_file(own_device(tmp_path / "pixel-8.toml"))
    copy = tmp_path / "raspberry-pi-5.toml"
    copy.write_bytes(resources.files("edgevit.devices").joinpath(copy.name).read_bytes())
    assert load_file(copy) == load_device("raspberry-pi-5")


def raising(fault: Exception) -> Callable[..., Any]:
    def broken(*_: object) -> Any:
        raise fault

    return broken


@pytest.mark.parametrize("fault", [RuntimeError("not so"), AttributeError("_get_ops_details"), IndexError("7")])
def test_a_foreign_fault_of_the_look_is_told_in_words(
    sealed: Bundle, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr("edgevit.exporters.placement.onnx.homes_of", raising(fault))
    with pytest.raises(EngineError, match=f"could not be told: {type(fault).__name__}: {fault}") as caught:
        place(sealed)
    assert caught.value.__cause__ is fault


@pytest.mark.slow
@pytest.mark.parametrize("fault", [KeyError("outputs"), MemoryError(), EngineError("no such provider")])
def test_a_fault_of_the_look_costs_no_proven_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr("edgevit.exporters.placement.onnx.homes_of", raising(fault))
    made = edgevit.export(small_nets.model_def(), format="onnx", out=tmp_path / "bundle")
    assert made.manifest.placement == {}
    (note,) = [n for n in made.manifest.verification["notes"] if "operators run" in n]
    assert str(fault) in note
    assert type(fault).__name__ in note or isinstance(fault, EngineError)


OPS = st.builds(
    Op,
    kind=st.sampled_from(["CONV", "ADD", "MEAN"]),
    where=st.sampled_from(["GPU", "CPU"]),
    basis=st.sampled_from(["executed", "rule"]),
    why=st.sampled_from(["", "too wide", "too deep"]),
    falls_back=st.booleans(),
    name=st.sampled_from(["", "a", "b"]),
    count=st.integers(1, 4),
)
VIEWS = st.lists(
    st.builds(View, unit=st.just("the GPU"), ops=st.lists(OPS).map(tuple), decides=st.booleans()), max_size=3
)


@given(VIEWS)
def test_groups_and_the_summary_lose_no_operator(views: list[View]) -> None:
    placement = Placement("litert", "fp32", None, tuple(views))
    kept = summary(placement)
    assert json.loads(json.dumps(kept)) == kept
    assert json.loads(json.dumps(placement.to_dict()))["falls_back"] == placement.falls_back
    for view, brief in zip(views, kept["views"], strict=True):
        everything = sum(op.count for op in view.ops)
        assert sum(group.count for group in view.groups()) == everything
        assert sum(brief["places"].values()) == everything
        left = sum(op.count for op in view.ops if op.falls_back)
        assert sum(entry["count"] for entry in brief["fallbacks"]) == left
        flags = [group.falls_back for group in view.groups()]
        assert flags == sorted(flags, reverse=True)  # what falls back comes first
    decided = [op for view in views if view.decides for op in view.ops if op.falls_back]
    assert placement.falls_back == kept["falls_back"] == bool(decided) == bool(placement.sentence())
    assert all(op.kind in placement.sentence() for op in decided)


def test_a_manifest_keeps_the_summary_and_refuses_nonsense(sealed: Bundle, tmp_path: Path) -> None:
    left = View("the GPU", (Op("CONV", "CPU", "rule", "too wide", True), Op("ADD", "GPU", "rule")))
    kept = summary(Placement("onnx", "fp32", None, (left,)))
    path = tiny_bundles.write(tmp_path / "kept", placement=kept).path
    assert open_bundle(path).manifest.placement == kept
    assert open_bundle(sealed.path).manifest.placement == {}
    for key, value in {"falls_back": "no", "views": [{}], "places": 3}.items():
        tiny_bundles.edit(path, lambda data, k=key, v=value: data.update(placement={**kept, k: v}))  # type: ignore[misc]
        if key != "places":
            with pytest.raises(SchemaError, match="placement"):
                open_bundle(path)
    assert open_bundle(path).manifest.placement["places"] == 3  # a key that nobody knows is let be


def quantised(path: Path) -> GraphFile:
    """Write an IR with two convolutions, of which only the first reads quantised numbers."""
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    image = ops.parameter([1, 16, 16, 16], np.float32, name="image")

    def levels(value: ov.Node, low: float, high: float, count: int) -> ov.Node:
        limits = [np.float32(low).reshape(1, 1, 1, 1), np.float32(high).reshape(1, 1, 1, 1)]
        return ops.fake_quantize(value, *map(ops.constant, (*limits, *limits)), count)

    def convolution(value: ov.Node, kernel: ov.Node, name: str) -> ov.Node:
        return ops.convolution(value, kernel, [1, 1], [1, 1], [1, 1], [1, 1], name=name)

    first, second = (ops.constant(rng.uniform(-1, 1, (16, 16, 3, 3)).astype(np.float32)) for _ in range(2))
    whole = convolution(levels(image, 0, 2.55, 256), levels(first, -1.27, 1.27, 255), "whole")
    floating = convolution(ops.tanh(whole), second, "floating")
    ov.save_model(ov.Model([floating], [image], "m"), str(path), compress_to_fp16=False)
    inputs = (TensorSpec("image", (1, 16, 16, 16)),)
    return GraphFile(path.name, "main", inputs, (TensorSpec("floating", (1, 16, 16, 16)),), "executed")


def test_a_layer_with_weights_that_an_int8_model_runs_in_float_falls_back(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    files = {"main": (path, quantised(path))}
    placement = place_files("openvino", "int8", files)
    (view,) = placement.views
    layers = {name: op for op in view.ops for name in op.name.split(",") if op.kind == "Convolution"}
    assert layers["whole"].where == "CPU, i8"
    assert (layers["floating"].where, layers["floating"].basis) == ("CPU, f32", "executed")
    assert placement.fallbacks == (layers["floating"],)
    assert "f32" in layers["floating"].why
    assert not place_files("openvino", "fp32", files).falls_back


def test_delegates_are_called_by_their_names_and_views_compute_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = {
        ("Conv2d", "XnnpackBackend"): 3,
        ("aten::view_copy.out", PLAIN): 2,
        ("aten::squeeze_copy.dims_out", PLAIN): 1,
    }
    contents = Contents(("XnnpackBackend", "XnnpackBackend"), operators)
    monkeypatch.setattr("edgevit.exporters.placement.executorch.read_contents", lambda path: contents)
    (view,) = place_files("executorch", "fp32", {"main": (tmp_path / "m.pte", executorch_files.GRAPH)}).views
    assert view.places() == {"XNNPACK": 3, PLAIN: 3}
    assert [(op.kind, op.count) for op in view.fallbacks] == [("aten::squeeze_copy.dims_out", 1)]
    assert view.notes == ("as the file has it: 2 calls of XNNPACK",)


def test_a_cast_at_the_border_is_no_fallback_and_one_between_delegates_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast, other = "dim_order_ops::_to_dim_order_copy.out", "aten::gelu.out"
    contents = Contents(("XnnpackBackend",) * 2, {(cast, PLAIN): 3, (other, PLAIN): 1}, {cast: 2, other: 1})
    monkeypatch.setattr("edgevit.exporters.placement.executorch.read_contents", lambda path: contents)
    placement = place_files("executorch", "fp16", {"main": (tmp_path / "m.pte", executorch_files.GRAPH)})
    assert {(op.kind, op.count) for op in placement.fallbacks} == {(cast, 1), (other, 1)}
    assert sum(placement.views[0].places().values()) == 4


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return executorch_files.two_ways(tmp_path_factory.mktemp("pte") / "model.pte")


@pytest.mark.slow
def test_an_operator_that_no_delegate_took_falls_back_and_views_do_not(program: Path) -> None:
    placement = place_files("executorch", "fp32", {"main": (program, executorch_files.GRAPH)})
    (view,) = placement.views
    assert view.unit == "XNNPACK"
    assert view.places()["XNNPACK"] > 0
    left = {op.kind: op for op in placement.fallbacks}
    assert "aten::cumsum.out" in left
    assert {op.basis for op in view.ops} == {"executed"}
    idle = [op for op in view.ops if op.kind.startswith(("executorch_prim", "aten::view"))]
    assert not any(op.falls_back for op in idle)


def test_a_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(BundleError, match="not a readable ExecuTorch file"):
        place_files("executorch", "fp32", {"main": (path, executorch_files.GRAPH)})


@pytest.mark.slow
@pytest.mark.parametrize("format_name", sorted(FORMATS))
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_every_exported_bundle_can_be_placed(tmp_path: Path, format_name: str, precision: str) -> None:
    made = edgevit.export(small_nets.model_def(), format=format_name, precision=precision, out=tmp_path / "b")
    found = place(made.path)
    assert made.manifest.placement == summary(found)
    assert found.views
    assert all(view.ops for view in found.views)
    wanted = "rule" if format_name in ("coreml", "tensorrt") else "executed"
    assert {op.basis for op in found.views[0].ops} == {wanted}
    if format_name == "tensorrt":
        assert not found.falls_back  # its exporter refuses what the parser does not take
