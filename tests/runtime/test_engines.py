from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import TensorProto, helper

from edgevit.errors import (
    BadOutputError,
    BundleError,
    EngineError,
    EnvironmentFault,
    InputError,
    MissingDependencyError,
    UnsafePathError,
    UnsupportedError,
    UsageError,
)
from edgevit.formats import FORMATS
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import ENGINES, EngineOptions, Tensors, load_engine, run_batch, run_checked
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


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../b", "C:\\x", "*/_ORT_MEM_ADDR_/*", ""])
def test_weights_outside_the_bundle_are_refused(tmp_path: Path, location: str) -> None:
    node = helper.make_node("MatMul", ["image", "weights"], ["logits"])
    with pytest.raises(UnsafePathError, match=r"outside the bundle|not among the files"):
        check_onnx(onnx_files.save(tmp_path / "m.onnx", [node], [onnx_files.outside(location)]))


def attribute(**parts: Any) -> onnx.NodeProto:
    """Return a node whose one attribute holds the given messages."""
    node = helper.make_node("Constant", [], ["logits"])
    held = node.attribute.add(name="value")
    for name, value in parts.items():
        getattr(held, name).extend(value) if isinstance(value, list) else getattr(held, name).CopyFrom(value)
    return node


def hidden() -> list[tuple[str, onnx.ModelProto]]:
    """Return models that keep weights in /etc/passwd, one for each field in which a tensor can lie."""
    tensor = onnx_files.outside("/etc/passwd")
    sparse = onnx.SparseTensorProto(values=tensor)
    inner = onnx.GraphProto(initializer=[tensor])
    function = onnx.FunctionProto(attribute_proto=attribute(t=tensor).attribute)
    graphs = {
        "initializer": inner,
        "sparse values": onnx.GraphProto(sparse_initializer=[sparse]),
        "sparse indices": onnx.GraphProto(sparse_initializer=[onnx.SparseTensorProto(indices=tensor)]),
        "t": onnx.GraphProto(node=[attribute(t=tensor)]),
        "tensors": onnx.GraphProto(node=[attribute(tensors=[tensor])]),
        "g": onnx.GraphProto(node=[attribute(g=inner)]),
        "graphs": onnx.GraphProto(node=[attribute(graphs=[inner])]),
        "sparse_tensor": onnx.GraphProto(node=[attribute(sparse_tensor=sparse)]),
        "sparse_tensors": onnx.GraphProto(node=[attribute(sparse_tensors=[sparse])]),
    }
    models = [(name, onnx.ModelProto(graph=graph)) for name, graph in graphs.items()]
    models.append(("function", onnx.ModelProto(functions=[onnx.FunctionProto(node=[attribute(t=tensor)])])))
    models.append(("attribute_proto", onnx.ModelProto(functions=[function])))
    training = onnx.TrainingInfoProto(initialization=inner)
    models.append(("training", onnx.ModelProto(training_info=[training])))
    return models


@pytest.mark.parametrize(("field", "model"), hidden(), ids=[field for field, _ in hidden()])
def test_weights_are_found_in_every_field(tmp_path: Path, field: str, model: onnx.ModelProto) -> None:
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsafePathError, match="/etc/passwd"):
        check_onnx(tmp_path / "m.onnx")


def test_a_key_longer_than_engines_read_hides_nothing(tmp_path: Path) -> None:
    """An engine keeps 32 bits of a key, so 2**32 + 0x6a is field 13 (external data) to it."""
    node = helper.make_node("MatMul", ["image", "weights"], ["logits"])
    path = onnx_files.save(tmp_path / "m.onnx", [node], [onnx_files.outside("../../etc")])
    entry = b"\x6a\x15\x0a\x08location"
    whole = path.read_bytes()
    assert whole.count(entry) == 1
    path.write_bytes(_lengthened(whole, entry, b"\xea\x80\x80\x80\x10" + entry[1:]))
    with pytest.raises(BundleError, match="field number"):
        check_onnx(path)
    path.write_bytes(b"\x02\x00" + whole)
    with pytest.raises(BundleError, match="field number"):
        check_onnx(path)


def _lengthened(whole: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes in the graph's first initializer and correct the lengths of what holds them."""
    model = onnx.ModelProto.FromString(whole)
    tensor = model.graph.initializer[0].SerializeToString()
    longer = tensor.replace(old, new)
    model.graph.ClearField("initializer")
    graph = model.graph.SerializeToString() + _field(5, longer)
    model.ClearField("graph")
    return bytes(model.SerializeToString() + _field(7, graph))


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_weights_beside_the_model_are_plain_listed_files(tmp_path: Path) -> None:
    folder, away = tmp_path / "bundle", tmp_path / "away"
    for place in (folder, away):
        place.mkdir()
        (place / "w.bin").write_bytes(np.eye(3, dtype=np.float32).tobytes())
    (folder / "sub").symlink_to(away)
    node = helper.make_node("MatMul", ["image", "weights"], ["logits"])
    path = onnx_files.save(folder / "m.onnx", [node], [onnx_files.outside("sub/w.bin")])
    with pytest.raises(UnsafePathError, match="symlink"):
        check_onnx(path)
    path = onnx_files.save(folder / "m.onnx", [node], [onnx_files.outside("w.bin")])
    check_onnx(path)
    check_onnx(path, frozenset({folder / "w.bin"}))
    with pytest.raises(UnsafePathError, match="not among the files"):
        check_onnx(path, frozenset({path}))


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


@pytest.mark.parametrize("engine", ["openvino", "litert"])
def test_an_engine_takes_files_of_its_own_kind_only(engine: str, model: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"model.onnx is none. Type: --engine onnx"):
        load_engine(engine, model, graph(), EngineOptions())
    assert load_engine("null", model, graph(), EngineOptions())


def test_an_onnx_file_that_is_named_as_ir_does_not_pass_the_guard(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    onnx_files.mean_classifier(tmp_path / "model.xml")
    with pytest.raises(BundleError, match="not OpenVINO IR"):
        load_engine("openvino", tmp_path / "model.xml", graph(), EngineOptions())
    with pytest.raises(EngineError, match="cannot be read"):
        load_engine("openvino", tmp_path / "absent.xml", graph(), EngineOptions())


def test_an_engine_older_than_the_bundle_asks_for_is_refused(model: Path) -> None:
    assert load_engine("onnx", model, graph(), EngineOptions(minimum="1.16"))
    with pytest.raises(EnvironmentFault, match=r"needs ONNX Runtime 99 or newer; .* pip install --upgrade"):
        load_engine("onnx", model, graph(), EngineOptions(minimum="99"))
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    with pytest.raises(EnvironmentFault, match="needs OpenVINO 9999"):
        load_engine("openvino", Path("m.xml"), graph(), EngineOptions(minimum="9999"))
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    with pytest.raises(EnvironmentFault, match="needs LiteRT 99"):
        load_engine("litert", Path("m.tflite"), graph(), EngineOptions(minimum="99"))


class Answers:
    """Stand in for an engine that answers with anything."""

    description = "an engine"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def run(self, inputs: Tensors) -> dict[str, Any]:
        return {"logits": self.answer}

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "answer",
    [
        np.array([["a", "b", "c"]]),
        np.array([["a", "b", "c"]], object),
        np.ones((1, 3), bool),
        np.ones((1, 3), complex),
        [[1.0, 2.0, 3.0]],
        {"a": 1.0},
    ],
)
def test_what_is_no_array_of_numbers_is_never_a_result(answer: object) -> None:
    with pytest.raises(BadOutputError, match="array of numbers"):
        run_batch(Answers(answer), graph(), np.ones((1, 3, 8, 8), np.float32))


def test_text_from_a_real_engine_is_never_a_result(tmp_path: Path) -> None:
    cast = helper.make_node("Cast", ["flat"], ["logits"], to=TensorProto.STRING)
    pooled = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
    ]
    path = onnx_files.save(tmp_path / "m.onnx", [*pooled, cast], [], output=TensorProto.STRING)
    engine = load_engine("onnx", path, graph(), EngineOptions(threads=1))
    with pytest.raises(BadOutputError, match="array of numbers"):
        run_batch(engine, graph(), np.ones((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_as_many_rows_come_out_as_went_in(rows: int) -> None:
    with pytest.raises(BadOutputError, match="answered 5 rows"):
        run_batch(Answers(np.ones((rows, 3), np.float32)), graph(-1), np.ones((5, 3, 8, 8), np.float32))


@pytest.mark.parametrize("nothing", [np.zeros((0, 3, 8, 8), np.float32), np.float32(1), None, []])
@pytest.mark.parametrize("batch", [1, -1])
def test_nothing_to_run_is_told(batch: int, nothing: Any) -> None:
    with pytest.raises(InputError, match="nothing to run"):
        run_batch(Answers(np.ones((1, 3))), graph(batch), nothing)


def test_no_more_threads_are_taken_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert EngineOptions().thread_count == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert EngineOptions().thread_count == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert EngineOptions().thread_count == 1


def test_the_null_engine_answers_the_same_to_the_same(tmp_path: Path) -> None:
    engine = load_engine("null", tmp_path / "absent", graph(-1), EngineOptions())
    one, two = np.ones((2, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.float32)
    assert (run_batch(engine, graph(-1), one) == run_batch(engine, graph(-1), one)).all()
    assert (run_batch(engine, graph(-1), one) != run_batch(engine, graph(-1), two)).any()


def test_engines_say_which_precisions_they_have(model: Path) -> None:
    with pytest.raises(UnsupportedError, match="ONNX Runtime cannot compute in 'bf16'; it can in fp32"):
        load_engine("onnx", model, graph(), EngineOptions(precision="bf16"))


@pytest.mark.parametrize("threads", [0, -1, 2000, "2", 2.0, True])
def test_a_senseless_number_of_threads_is_refused(threads: Any) -> None:
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
