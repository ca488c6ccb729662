"""``edgevit placement`` from the command line: the table, the JSON, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_files
import pytest
import tiny_bundles
from tflite_files import Node, Tensor, constant, save

from edgevit.bundle import Bundle
from edgevit.cli import main
from edgevit.cli.info import placement_texts
from edgevit.exporters.placement import place, summary
from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec

Capture = pytest.CaptureFixture[str]

IMAGE = (1, 8, 8, 3)


@pytest.fixture
def leaving(tmp_path: Path) -> Bundle:
    """Return a LiteRT bundle with an operator that XNNPACK leaves and a phone's GPU would take."""
    path = tmp_path / "made.tflite"
    tensors = {
        "x": Tensor(IMAGE),
        "begin": constant([0, 0, 0, 0]),
        "end": constant([0, 0, 0, 0]),
        "strides": constant([1, 2, 2, 1]),
        "small": Tensor((1, 4, 4, 3)),
        "axes": constant([1, 2]),
        "logits": Tensor((1, 3)),
    }
    nodes = [
        Node("STRIDED_SLICE", ("x", "begin", "end", "strides"), ("small",), "StridedSliceOptions", {"endMask": 15}),
        Node("MEAN", ("small", "axes"), ("logits",), "ReducerOptions"),
    ]
    save(path, nodes, tensors, ["logits"])
    graph = GraphFile("model.tflite", "main", (TensorSpec("x", IMAGE),), (TensorSpec("logits", (1, 3)),), "executed")
    return tiny_bundles.write(
        tmp_path / "leaving",
        content=path.read_bytes(),
        format="litert",
        engine={"name": "ai-edge-litert", "minimum": "1.2"},
        graphs={"main": graph},
    )


@pytest.fixture
def whole(tmp_path: Path) -> Bundle:
    content = onnx_files.mean_classifier(tmp_path / "made.onnx").read_bytes()
    return tiny_bundles.write(tmp_path / "whole", content=content)


def test_a_bundle_that_falls_back_is_shown_and_fails_only_when_asked(leaving: Bundle, capsys: Capture) -> None:
    assert main(["placement", str(leaving.path)]) == 0
    out, err = capsys.readouterr()
    assert "! STRIDED_SLICE" in out
    assert "executed" in out
    assert "its strides are not all 1" in out
    assert "Nothing falls back" not in out
    assert "1 STRIDED_SLICE will not run on XNNPACK" in err
    assert main(["placement", str(leaving.path), "--fail-on-fallback"]) == 1
    assert "STRIDED_SLICE" in capsys.readouterr().err


def test_a_bundle_that_does_not_fall_back_says_so(whole: Bundle, capsys: Capture) -> None:
    assert main(["placement", str(whole.path), "--fail-on-fallback"]) == 0
    out, err = capsys.readouterr()
    assert "Nothing falls back." in out
    assert err == ""


def test_json_holds_every_operator_and_the_same_exit_code(leaving: Bundle, capsys: Capture) -> None:
    assert main(["placement", str(leaving.path), "--json", "--fail-on-fallback"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["falls_back"] is True
    (view,) = answer["views"]
    assert [op["op"] for op in view["ops"]] == ["STRIDED_SLICE", "MEAN"]
    assert {op["basis"] for op in view["ops"]} == {"executed"}
    assert view["places"] == {"XNNPACK": 1, "LiteRT's own kernels": 1}


def test_a_device_with_a_gpu_is_asked_by_its_rules(leaving: Bundle, capsys: Capture) -> None:
    assert main(["placement", str(leaving.path), "--device", "pixel-8", "--fail-on-fallback"]) == 0
    out = capsys.readouterr().out
    assert "meant for XNNPACK (executed), should the app not ask for another unit" in out
    assert "meant for the GPU of Pixel 8 (rule)" in out
    assert "nothing was run on a GPU" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "pixel-88"], "pixel-8"),
        (["--provider", "cuda"], "no providers"),
        (["--fail"], "--fail-on-fallback"),
    ],
)
def test_wrong_options_are_answered_in_a_sentence(
    leaving: Bundle, capsys: Capture, words: list[str], said: str
) -> None:
    assert main(["placement", str(leaving.path), *words]) == 2
    assert said in capsys.readouterr().err


def test_long_names_are_cut_in_the_table_and_whole_in_json(tmp_path: Path, capsys: Capture) -> None:
    from onnx import helper, numpy_helper

    name = "stages.0.blocks.0." * 6
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"], name=name),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    eye = numpy_helper.from_array(np.eye(3, dtype=np.float32), "weights")
    content = onnx_files.save(tmp_path / "m.onnx", nodes, [eye]).read_bytes()
    path = str(tiny_bundles.write(tmp_path / "long", content=content).path)
    assert main(["placement", path]) == 0
    assert name not in capsys.readouterr().out
    assert main(["placement", path, "--json"]) == 0
    assert name in capsys.readouterr().out


def test_info_says_falls_back_only_of_the_unit_that_decides(leaving: Bundle) -> None:
    """The rules of the phone's GPU take what XNNPACK leaves, so nothing of that bundle falls back."""
    phone = placement_texts(summary(place(leaving, device="pixel-8")))
    assert phone[0].startswith("XNNPACK, should the app not ask for another unit (executed)")
    assert phone[0].endswith("it would leave: 1 STRIDED_SLICE")
    assert "falls back" not in " ".join(phone)
    (board,) = placement_texts(summary(place(leaving, device="raspberry-pi-5")))
    assert board.startswith("XNNPACK (executed)")
    assert board.endswith("falls back: 1 STRIDED_SLICE")


def test_a_device_that_nobody_knows_is_asked_for_by_its_file(tmp_path: Path, capsys: Capture) -> None:
    content = onnx_files.mean_classifier(tmp_path / "made.onnx").read_bytes()
    bundle = tiny_bundles.write(tmp_path / "own", content=content, device="my-board")
    assert main(["placement", str(bundle.path), "--fail-on-fallback"]) == 0
    out, err = capsys.readouterr()
    assert "Nothing falls back." in out
    assert "--device my-board.toml" in err
