from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevit.errors import (
    BadOutputError,
    BundleError,
    EngineError,
    MissingDependencyError,
    UnsafePathError,
    UnsupportedError,
    UsageError,
)
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import ENGINES, EngineOptions, load_engine, run_batch, run_checked
from edgevit.runtime.engines.onnx_guard import check_onnx
from edgevit.spec import TensorSpec


def graph(batch: int = 1, classes: int = 3) -> GraphFile:
    inputs = (TensorSpec("image", (batch, 3, 8, 8)),)
    return GraphFile("model.onnx", "main", inputs, (TensorSpec("logits", (batch, classes)),), "executed")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_files.mean_classifier(tmp_path / "model.onnx")


def test_onnx_answers_what_the_net_says(model: Path) -> None:
    engine = load_engine("onnx", model, graph(), EngineOptions(threads=1))
    batch = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    np.testing.assert_allclose(run_batch(engine, graph(), batch), batch.mean((2, 3)), rtol=1e-5)
    assert "ONNX Runtime" in engine.description
    assert engine.description.endswith("1 thread")
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({"image": batch[:1]})


@pytest.mark.parametrize(("made", "asked"), [(4, 1), (4, 4), (4, 6), (-1, 5), (1, 3)])
def test_any_number_of_rows_goes_through_any_batch(tmp_path: Path, made: int, asked: int) -> None:
    path = onnx_files.mean_classifier(tmp_path / "m.onnx", batch="n" if made == -1 else made)
    engine = load_engine("onnx", path, graph(made), EngineOptions(threads=1))
    batch = np.random.default_rng(1).random((asked, 3, 8, 8), np.float32)
    np.testing.assert_allclose(run_batch(engine, graph(made), batch), batch.mean((2, 3)), rtol=1e-5)


def test_nan_is_never_a_result(tmp_path: Path) -> None:
    path = onnx_files.mean_classifier(tmp_path / "m.onnx", scale=float("nan"))
    engine = load_engine("onnx", path, graph(), EngineOptions())
    with pytest.raises(BadOutputError, match="NaN or infinity"):
        run_checked(engine, graph(), {"image": np.ones((1, 3, 8, 8), np.float32)})


def test_another_shape_than_promised_is_never_a_result(tmp_path: Path) -> None:
    path = onnx_files.mean_classifier(tmp_path / "m.onnx", classes=2)
    engine = load_engine("onnx", path, graph(classes=3), EngineOptions())
    with pytest.raises(BadOutputError, match=r"\(1, 2\).*\(1, 3\)"):
        run_checked(engine, graph(classes=3), {"image": np.ones((1, 3, 8, 8), np.float32)})


def test_an_input_that_does_not_fit_is_told_before_the_engine_is_asked(model: Path) -> None:
    engine = load_engine("onnx", model, graph(), EngineOptions())
    with pytest.raises(EngineError, match=r"takes 'image' with the shape"):
        run_checked(engine, graph(), {"image": np.ones((1, 3, 9, 8), np.float32)})
    with pytest.raises(EngineError, match="given nothing"):
        run_checked(engine, graph(), {})


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08")
    with pytest.raises(BundleError, match="not a readable ONNX file"):
        load_engine("onnx", tmp_path / "m.onnx", graph(), EngineOptions())
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(EngineError, match=r"ONNX Runtime .* cannot open"):
        load_engine("onnx", tmp_path / "m.onnx", graph(), EngineOptions())


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../b", "C:\\x"])
def test_weights_outside_the_bundle_are_refused(tmp_path: Path, location: str) -> None:
    tensor = numpy_helper.from_array(np.eye(3, dtype=np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    node = helper.make_node("MatMul", ["image", "weights"], ["logits"])
    with pytest.raises(UnsafePathError, match="outside the bundle"):
        check_onnx(onnx_files.save(tmp_path / "m.onnx", [node], [tensor]))


def test_weights_in_a_branch_are_found_too(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    constant = helper.make_node("Constant", [], ["logits"], value=tensor)
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)])
    node = helper.make_node("If", ["flag"], ["logits"], then_branch=branch, else_branch=branch)
    with pytest.raises(UnsafePathError):
        check_onnx(onnx_files.save(tmp_path / "m.onnx", [node], []))


def test_operators_of_a_foreign_library_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Steal", ["image"], ["logits"], domain="evil.ops")
    with pytest.raises(BundleError, match=r"'evil.ops'.*foreign library"):
        check_onnx(onnx_files.save(tmp_path / "m.onnx", [node], [], domains=("evil.ops",)))


@pytest.mark.parametrize("cut", [1, 7, 50, 120])
def test_a_cut_onnx_file_is_told(model: Path, cut: int) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[:-cut])
    with pytest.raises((BundleError, EngineError)):
        load_engine("onnx", model, graph(), EngineOptions())


def test_a_sound_file_passes_the_guard(model: Path) -> None:
    check_onnx(model)
    onnx.checker.check_model(onnx.load(model))


def test_the_null_engine_answers_the_same_to_the_same(tmp_path: Path) -> None:
    engine = load_engine("null", tmp_path / "absent", graph(-1), EngineOptions())
    one, two = np.ones((2, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.float32)
    assert (run_batch(engine, graph(-1), one) == run_batch(engine, graph(-1), one)).all()
    assert (run_batch(engine, graph(-1), one) != run_batch(engine, graph(-1), two)).any()


def test_engines_say_which_precisions_they_have(model: Path) -> None:
    with pytest.raises(UnsupportedError, match="ONNX Runtime cannot compute in 'bf16'; it can in fp32"):
        load_engine("onnx", model, graph(), EngineOptions(precision="bf16"))


@pytest.mark.parametrize("threads", [0, -1, 2000])
def test_a_senseless_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        EngineOptions(threads=threads)


@pytest.mark.parametrize(
    ("engine", "package", "extra"),
    [("onnx", "onnxruntime", "onnx"), ("openvino", "openvino", "openvino"), ("litert", "ai_edge_litert", "litert")],
)
def test_a_missing_engine_is_told_with_its_pip_line(
    engine: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suffix,) = (f.suffix for f in FORMATS.values() if f.engine == engine)
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in (package, "tflite_runtime"):
            raise ImportError(f"No module named '{name}'", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'edgevit\[{extra}\]'"):
        load_engine(engine, tmp_path / f"model{suffix}", graph(), EngineOptions())


class OldInterpreter:
    """Stand in for tflite-runtime 2.14 with a dynamic-range model: float activations, int8 weights."""

    weights: Any = np.int8

    def __init__(self, model_path: str, num_threads: int) -> None: ...

    def allocate_tensors(self) -> None: ...

    def get_tensor_details(self) -> list[dict[str, Any]]:
        return [
            {"index": 0, "dtype": np.float32},
            {"index": 1, "dtype": self.weights},
            {"index": 2, "dtype": np.float32},
        ]

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [{"op_name": "CONV_2D", "inputs": [0, 1], "outputs": [2]}]

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "dtype": np.float32, "quantization": (0.0, 0)}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 2, "dtype": np.float32, "quantization": (0.0, 0)}]


def test_tflite_runtime_is_not_trusted_with_dynamic_range_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Path("model.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", SimpleNamespace())
    old = SimpleNamespace(Interpreter=OldInterpreter)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", old)
    with pytest.raises(UnsupportedError, match="dynamic-range int8"):
        load_engine("litert", model, graph(), EngineOptions())
    monkeypatch.setattr(OldInterpreter, "weights", np.float32)
    assert load_engine("litert", model, graph(), EngineOptions()).description.startswith("tflite-runtime")


def test_every_engine_of_the_table_has_a_module() -> None:
    for name in ENGINES:
        assert callable(ENGINES.load(name).load)
