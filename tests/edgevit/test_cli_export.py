"""``export`` and ``verify`` hand every option to the recipe, show the proof, and turn a refusal into exit code 1."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import edgevit
from edgevit.bundle import Bundle
from edgevit.cli import main
from edgevit.errors import RefusedError
from edgevit.formats import FORMATS
from edgevit.manifest import FileRecord, GraphFile, Manifest
from edgevit.progress import Step
from edgevit.provenance import Provenance, WeightsRecord
from edgevit.spec import ImageSpec, Spec, TensorSpec

Capture = pytest.CaptureFixture[str]
Calls = list[dict[str, Any]]

TENSOR = (TensorSpec("x", (1, 3, 8, 8)),)
BUNDLE = Bundle(
    Path("levit-onnx-fp32"),
    Manifest(
        model="levit_128s",
        spec=Spec("classify", ImageSpec((8, 8), (8, 8)), ("a", "b")),
        format="onnx",
        precision="fp32",
        engine={"name": "onnxruntime", "minimum": "1.16"},
        graphs={"main": GraphFile("model.onnx", "main", TENSOR, TENSOR, "executed")},
        provenance=Provenance(WeightsRecord("random", trained=False), "MIT"),
        verification={"passed": True, "gates": [], "figures": {"cosine_median": 1.0}},
        golden={"file": "golden.npz"},
        reference={"file": "reference.npz"},
        files={"model.onnx": FileRecord("0" * 64, 31_400_000), "golden.npz": FileRecord("0" * 64, 5)},
    ),
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Stand in for the recipe and remember how it was called."""
    made: Calls = []

    def export(model: str, *, progress: Callable[[Step], None], **options: Any) -> Bundle:
        progress(Step("convert to ONNX"))
        progress(Step("convert to ONNX", "opset 18", seconds=1.25))
        made.append({"model": model, **options})
        return BUNDLE

    monkeypatch.setitem(vars(edgevit), "export", export)
    return made


def test_every_option_reaches_the_recipe(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    words = (
        "export levit_128s --format tflite --device pixel-8 --int8 --weights w.pth --num-classes 7 --labels l.txt "
        "--mean 0.5 0.5 0.5 --std 0.2 0.2 0.3 --seed 3 --imgsz 256 192 --batch 4 --dynamic --opset 18 --uint8-input "
        "--backend vulkan --calib c --images i --gate relative=0.001 --gate top1=0.9 --out o --force --keep --threads 2"
    )
    assert main(words.split()) == 0
    assert calls == [
        {
            "model": "levit_128s",
            "format": "litert",
            "device": "pixel-8",
            "precision": "int8",
            "weights": "w.pth",
            "num_classes": 7,
            "labels": "l.txt",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.2, 0.2, 0.3),
            "seed": 3,
            "imgsz": (256, 192),
            "batch": 4,
            "dynamic": True,
            "opset": 18,
            "uint8_input": True,
            "backend": "vulkan",
            "calib": "c",
            "images": "i",
            "gates": {"relative": 0.001, "top1": 0.9},
            "out": "o",
            "force": True,
            "keep": True,
        }
    ]


def test_the_recipe_takes_exactly_these_options() -> None:
    pytest.importorskip("torch")
    from edgevit.cli import export as verb
    from edgevit.cli.export import options_of
    from edgevit.cli.parsing import Parser
    from edgevit.exporters.base import export

    parser = Parser(prog="x")
    verb.configure(parser)
    options = options_of(parser.parse_args(["m", "--format", "onnx"]))
    assert set(inspect.signature(export).parameters) == {"model_or_name", "progress", "most", "reference", *options}


def test_success_shows_proof_progress_and_what_to_type_next(calls: Calls, capsys: Capture) -> None:
    assert main(["export", "levit_128s", "--format", "onnx"]) == 0
    captured = capsys.readouterr()
    assert "Proven: levit-onnx-fp32 (onnx fp32, 31.4 MB, UNTRAINED weights; executed)" in captured.out
    for verb in ("predict", "bench", "verify"):
        assert f"\n  edgevit {verb} levit-onnx-fp32" in captured.out
    assert captured.err == "  convert to ONNX                 1.2 s  opset 18\n"
    assert calls[0]["precision"] is None


def test_json_is_one_object_with_path_and_figures(calls: Calls, capsys: Capture) -> None:
    assert main(["export", "levit_128s", "--format", "onnx", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == "levit-onnx-fp32"
    assert told["verification"]["figures"] == {"cosine_median": 1.0}
    assert told["trained"] is False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", f"Say where levit_128s shall run: --format {'|'.join(FORMATS)}, or --device NAME."),
        ("--format onx", "There is no format named 'onx'. Did you mean onnx?"),
        ("--format onnx --half --int8", "--half and --int8 contradict each other."),
        ("--format onnx --precision fp32 --half", "--precision fp32 and --half contradict each other."),
        ("--format onnx --precision fp8", "There is no precision named 'fp8'. Did you mean fp32 or fp16?"),
        (
            "--format onnx --std 58.4 57.1 57.4",
            "--std is in units of 0..1, and 58.4 57.1 57.4 looks like grey levels. Type: --std 0.229",
        ),
        ("--format onnx --mean 1 2", "--mean: expected 3 arguments."),
        ("--format onnx --imgsz 1 2 3", "--imgsz takes one number, or height and width; 3 were given."),
        ("--format onnx --gate top1=1 --gate top1=0.9", "A --gate was given twice."),
        ("--format onnx --gate top1", "--gate: expected NAME=VALUE"),
    ],
)
def test_conflicts_are_sentences_and_nothing_is_exported(
    words: str, sentence: str, calls: Calls, capsys: Capture
) -> None:
    assert main(["export", "levit_128s", *words.split()]) == 2
    assert capsys.readouterr().err.startswith(f"edgevit: {sentence}")
    assert calls == []


def test_the_same_precision_said_twice_is_no_conflict(calls: Calls) -> None:
    assert main(["export", "levit_128s", "--format", "onnx", "--precision", "fp16", "--half"]) == 0
    assert calls[0]["precision"] == "fp16"


def test_a_refusal_is_exit_code_one_with_gate_and_figure(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def export(model: str, **options: Any) -> Bundle:
        raise RefusedError("levit_128s as onnx fp32 is refused: relative 0.3 (at most 0.0001): failed.")

    monkeypatch.setitem(vars(edgevit), "export", export)
    assert main(["export", "levit_128s", "--format", "onnx", "--json"]) == 1
    captured = capsys.readouterr()
    assert "relative 0.3 (at most 0.0001)" in captured.err
    assert json.loads(captured.out) == {
        "error": "RefusedError",
        "message": "levit_128s as onnx fp32 is refused: relative 0.3 (at most 0.0001): failed.",
        "exit_code": 1,
    }


@pytest.mark.parametrize("passed", [True, False])
def test_verify_says_by_its_exit_code_whether_a_bundle_is_right(
    passed: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    seen: Calls = []
    gate = {"name": "relative", "limit": 1e-4, "value": 0.2, "passed": passed, "counted": True}
    data = {"passed": passed, "subject": "x", "compared_with": "torch", "engine": "ORT", "gates": [gate], "notes": []}

    def verify(bundle: Path, **options: Any) -> Any:
        seen.append({"bundle": bundle, **options})
        failures = () if passed else ("relative 0.2 (at most 0.0001): failed",)
        return SimpleNamespace(passed=passed, compared_with="torch", to_dict=lambda: data, failures=lambda: failures)

    monkeypatch.setitem(vars(edgevit), "verify", verify)
    words = ["verify", str(tmp_path), "--images", "i", "--weights", "hub", "--gate", "relative=1e-4"]
    words.append("--ignore-checksums")
    assert main(words) == (0 if passed else 1)
    captured = capsys.readouterr()
    assert f"{tmp_path}: {'proven' if passed else 'FAILED'}, compared with torch" in captured.out
    assert ("passed" if passed else "FAILED") in captured.out.splitlines()[3]
    assert ("falls short: relative 0.2" in captured.err) is not passed
    assert main([*words, "--json"]) == (0 if passed else 1)
    assert json.loads(capsys.readouterr().out)["passed"] is passed
    del seen[0]["progress"]
    assert seen[0] == {
        "bundle": tmp_path,
        "images": "i",
        "golden": False,
        "ignore_checksums": True,
        "weights": "hub",
        "gates": {"relative": 1e-4},
    }
