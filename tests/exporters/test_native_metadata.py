"""What other tools read of our files. The TFLite fields were once read with the schema's own generated classes too."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import small_nets
from flatbuffers.table import Table

import edgevit
from edgevit.bundle import Bundle
from edgevit.errors import EngineError
from edgevit.exporters.metadata import native_metadata
from edgevit.exporters.onnx_stamps import strip
from edgevit.exporters.openvino import _annotate as annotate_ir
from edgevit.exporters.recipe import Job
from edgevit.exporters.tflite_metadata import describe
from edgevit.formats import FORMATS
from edgevit.runtime.engines import EngineOptions, load_engine
from edgevit.spec import ImageSpec, OutputKind, Spec

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


@pytest.fixture(scope="module")
def litert(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("litert") / "small"
    return edgevit.export(small_nets.model_def(), format="litert", precision="int8", out=out)


@pytest.fixture(scope="module")
def openvino(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("openvino") / "small"
    return edgevit.export(small_nets.model_def(), format="openvino", out=out)


class Reader:
    """Walk a flatbuffer by field numbers."""

    def __init__(self, data: bytes, at: int | None = None) -> None:
        start = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0) if at is None else at
        self.table = Table(data, start)

    def _slot(self, field: int) -> int:
        offset: int = self.table.Offset(4 + 2 * field)
        assert offset, f"field {field} is absent"
        return offset + int(self.table.Pos)

    def text(self, field: int) -> str:
        return str(self.table.String(self._slot(field)), "utf-8")

    def inner(self, field: int) -> Reader:
        return Reader(self.table.Bytes, self.table.Indirect(self._slot(field)))

    def item(self, field: int) -> Reader:
        start = self.table.Vector(self._slot(field) - self.table.Pos)
        return Reader(self.table.Bytes, self.table.Indirect(start))

    def floats(self, field: int) -> list[float]:
        offset = self._slot(field) - self.table.Pos
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [float(v) for v in np.frombuffer(self.table.Bytes, np.float32, count, start)]

    def number(self, field: int, kind: Any) -> int:
        return int(self.table.Get(kind, self._slot(field)))


def metadata_of(path: Path) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    data: bytes = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    return data


def test_a_tflite_file_tells_its_normalisation_and_labels(litert: Bundle) -> None:
    data = metadata_of(litert.graph_file())
    assert data[4:8] == b"M001"
    model = Reader(data)
    assert model.text(0) == "small"
    graph = model.item(3)
    image, scores = graph.item(2), graph.item(3)
    normalisation = image.item(4).inner(1)
    assert normalisation.floats(0) == pytest.approx([123.675, 116.28, 103.53])
    assert normalisation.floats(1) == pytest.approx([58.395, 57.12, 57.375])
    properties = image.inner(3).inner(1)
    uint32, uint8 = flatbuffers.number_types.Uint32Flags, flatbuffers.number_types.Uint8Flags
    assert properties.number(0, uint8) == 1
    assert [properties.inner(1).number(n, uint32) for n in (0, 1)] == [32, 32]
    assert scores.item(6).text(0) == "labels.txt"
    assert scores.item(6).number(2, uint8) == 2
    with zipfile.ZipFile(litert.graph_file()) as zipped:
        assert zipped.read("labels.txt").decode().split() == list(small_nets.LABELS)


def test_a_tflite_file_takes_pictures_as_cameras_have_them(litert: Bundle) -> None:
    assert litert.manifest.graphs["main"].inputs[0].shape == (1, 32, 32, 3)
    assert litert.manifest.spec.image.layout == "nhwc"


def test_a_cut_tflite_file_is_one_sentence(litert: Bundle, tmp_path: Path) -> None:
    whole = litert.graph_file().read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(EngineError, match="cannot open"):
        load_engine("litert", tmp_path / "cut.tflite", litert.manifest.graphs["main"], EngineOptions())


def test_an_ir_tells_model_api_what_it_is(openvino: Bundle) -> None:
    import openvino as ov

    model = ov.Core().read_model(str(openvino.graph_file()))
    told = {key: model.get_rt_info(["model_info", key]).astype(str) for key in ("model_type", "labels", "mean_values")}
    assert told["model_type"] == "Classification"
    assert told["labels"].split() == list(small_nets.LABELS)
    assert [float(v) for v in told["mean_values"].split()] == pytest.approx([123.675, 116.28, 103.53])
    assert json.loads(model.get_rt_info(["edgevit"]).astype(str))["weights"] == "UNTRAINED"


@pytest.mark.parametrize(("output", "softmax"), [("logits", True), ("probabilities", False)])
def test_what_comes_out_is_told_in_every_format(output: OutputKind, softmax: bool) -> None:
    """Readers of an IR put a softmax behind it where ``output_raw_scores`` is True (DL Streamer among them)."""
    import openvino as ov

    model = small_nets.model_def()
    model = replace(model, spec=replace(model.spec, output=output))
    metadata = native_metadata(model)
    assert (metadata["output"], metadata["layout"]) == (output, "nchw")
    job = Job(FORMATS["litert"], "fp32", model.spec, Path(), model="x", metadata=metadata)
    scores = Reader(describe(job)).item(3).item(3)
    assert scores.text(0) == output
    assert ("before softmax" in scores.text(1)) is softmax
    image = ov.opset13.parameter([1, 3], np.float32, "image")
    ir = ov.Model([ov.opset13.relu(image).output(0)], [image], "x")
    annotate_ir(ir, job)
    assert ir.get_rt_info(["model_info", "output_raw_scores"]).astype(str) == str(softmax)
    assert json.loads(ir.get_rt_info(["edgevit"]).astype(str))["output"] == output


def test_a_damaged_ir_is_one_sentence(openvino: Bundle, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text(openvino.graph_file().read_text()[:500])
    with pytest.raises(EngineError, match=r"OpenVINO .* cannot open"):
        load_engine("openvino", tmp_path / "model.xml", openvino.manifest.graphs["main"], EngineOptions())


def test_openvino_computes_in_what_it_says(openvino: Bundle) -> None:
    tensor = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    with edgevit.load(openvino) as exact, edgevit.load(openvino, precision="bf16") as rough:
        assert ", fp32," in exact.engine_description
        assert ", bf16," in rough.engine_description
        assert np.abs(exact.infer(tensor) - rough.infer(tensor)).max() < 1.0


def test_a_description_is_written_for_any_labels() -> None:
    spec = Spec("classify", ImageSpec((8, 16), (8, 16), color="bgr"), ("ä", "b b"))
    assert Reader(describe(Job(FORMATS["litert"], "fp32", spec, Path(), model="x"))).text(0) == "x"


def test_no_remark_is_left_in_an_onnx_file_however_deep() -> None:
    """The exporter's remarks hold paths of this machine; branches and functions have nodes of their own."""
    from onnx import TensorProto, helper

    def told(node: Any) -> Any:
        node.doc_string = "File their/own/net.py"
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="File their/own/net.py")
        return node

    scalar = helper.make_tensor("c", TensorProto.FLOAT, [1], [2.5])
    scalar.doc_string = "File their/own/net.py"
    inner = helper.make_graph(
        [told(helper.make_node("Constant", [], ["y"], value=scalar))],
        "branch",
        [],
        [],
        doc_string="File their/own/net.py",
    )
    branch = told(helper.make_node("If", ["b"], ["z"], then_branch=inner, else_branch=inner))
    outer = helper.make_graph([branch], "main", [told(helper.make_tensor_value_info("b", 9, []))], [])
    function = helper.make_function(
        "own", "f", ["x"], ["y"], [told(helper.make_node("Relu", ["x"], ["y"]))], [helper.make_opsetid("", 18)]
    )
    model = helper.make_model(outer, functions=[function], opset_imports=[helper.make_opsetid("", 18)])
    model.metadata_props.add(key="source", value="File their/own/net.py")
    assert model.SerializeToString().count(b"their/own") > 12
    strip(model)
    assert b"their/own" not in model.SerializeToString()
    kept = model.graph.node[0].attribute[0].g.node[0].attribute[0].t
    assert list(kept.float_data) == [2.5]
