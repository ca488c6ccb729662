"""The verbs that read bundles, models and devices, run end to end on the null engine."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bundle import Bundle, seal, staging
from edgevit.cli import main
from edgevit.cli.bundles import find_bundle, size_text
from edgevit.cli.list import matching
from edgevit.errors import BundleError
from edgevit.manifest import GraphFile, Manifest
from edgevit.pictures import write_picture
from edgevit.provenance import Provenance, WeightsRecord
from edgevit.registry import list_models
from edgevit.scenes import shapes
from edgevit.spec import ImageSpec, Spec, TensorSpec

Capture = pytest.CaptureFixture[str]

GATES = [
    {"name": "relative", "limit": 1e-4, "value": 2.5e-7, "passed": True, "counted": True},
    {"name": "top1", "limit": 0.99, "value": 0.5, "passed": False, "counted": False},
]
MANIFEST = Manifest(
    model="tiny",
    spec=Spec("classify", ImageSpec((32, 32), (36, 36)), shapes.LABELS, notes=("probably BGR",)),
    format="onnx",
    precision="fp32",
    engine={"name": "onnxruntime", "minimum": "1.16"},
    graphs={
        "main": GraphFile(
            "model.onnx", "main", (TensorSpec("image", (1, 3, 32, 32)),), (TensorSpec("logits", (1, 10)),), "executed"
        )
    },
    provenance=Provenance(
        WeightsRecord("random, seed 0", trained=False), "Apache-2.0", {"torch": "2"}, "edgevit export"
    ),
    verification={"passed": True, "gates": GATES, "figures": {"cosine_median": 0.99999}, "notes": ["a note"]},
    golden={"file": "golden.npz"},
    reference={"file": "golden.npz"},
    device="pixel-8",
)


def sealed(folder: Path, manifest: Manifest = MANIFEST) -> Bundle:
    with staging(folder) as part:
        (part / "model.onnx").write_bytes(b"not a model")
        np.savez(part / "golden.npz", picture=np.zeros(1))
        return seal(part, manifest, folder)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand in a folder that holds one bundle."""
    monkeypatch.chdir(tmp_path)
    return sealed(Path("tiny-onnx-fp32")).path.name


def answer(capsys: Capture, *words: str, code: int = 0) -> Any:
    """Run a verb with ``--json`` and return what it answered."""
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_info_tells_contract_origin_and_proof(bundle: str, capsys: Capture) -> None:
    assert main(["info", bundle]) == 0
    text = capsys.readouterr().out
    assert text.startswith("UNTRAINED: the weights are random")
    for words in (
        "onnx, fp32, for pixel-8",
        "onnxruntime 1.16 or newer",
        "32x32 (height x width) from the centre, shorter side fitted to 36x36 (bilinear)",
        "RGB, mean 0.485 0.456 0.406",
        "logits of 10 classes: disc;",
        "probably BGR",
        "UNTRAINED, random, seed 0",
        "main: model.onnx (executed)",
        "at most 0.0001  passed",
        "reported, not gated (failed)",
    ):
        assert words in text
    told = answer(capsys, "info", bundle)
    assert told["trained"] is False
    assert told["manifest"]["spec"]["image"]["size_hw"] == [32, 32]


def test_info_of_a_trained_bundle_does_not_shout(tmp_path: Path, capsys: Capture) -> None:
    trained = replace(MANIFEST, provenance=Provenance(WeightsRecord("hub", trained=True), "MIT"), device=None)
    sealed(tmp_path / "b", trained)
    assert main(["info", str(tmp_path / "b")]) == 0
    assert "UNTRAINED" not in capsys.readouterr().out


def test_info_shows_the_vendor_s_own_command_where_the_proof_holds_one(tmp_path: Path, capsys: Capture) -> None:
    line = "trtexec --onnx=model.onnx --stronglyTyped"
    sealed(tmp_path / "b", replace(MANIFEST, verification={**MANIFEST.verification, "file": {"trtexec": line}}))
    assert main(["info", str(tmp_path / "b")]) == 0
    assert line in " ".join(capsys.readouterr().out.split())


def test_info_refuses_a_damaged_bundle_and_names_the_nearest(bundle: str, capsys: Capture) -> None:
    (Path(bundle) / "model.onnx").write_bytes(b"not a modeI")
    assert main(["info", bundle]) == 2
    assert "is not the file that was sealed" in capsys.readouterr().err
    assert main(["info", "tiny-onx-fp32"]) == 2
    assert "Did you mean tiny-onnx-fp32" in capsys.readouterr().err
    assert main(["info", "no/such"]) == 2
    assert "there is no such bundle" in capsys.readouterr().err


def test_info_of_a_model_needs_no_torch(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("edgevit.cli.info.lacking_for_models", lambda: ["torch", "timm"])
    assert answer(capsys, "info", "levit_128s")["family"] == "levit"
    assert main(["info", "levit_128s"]) == 0
    assert "pip install 'edgevit[models]'" in capsys.readouterr().err
    assert main(["info", "timm/resnet18"]) == 3
    assert "needs the package 'torch'" in capsys.readouterr().err


def test_info_of_a_model_says_what_torch_knows(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    told_by_timm = {
        "parameters": 7_780_000,
        "labels": ["a", "b"],
        "input": asdict(ImageSpec((224, 224), (248, 248), interpolation="bicubic")),
        "notes": [],
    }
    monkeypatch.setattr("edgevit.cli.info.lacking_for_models", list)
    monkeypatch.setattr("edgevit.cli.info.door", lambda target: lambda name: told_by_timm)
    assert main(["info", "levit_128s"]) == 0
    text = capsys.readouterr().out
    assert "7,780,000" in text
    assert "2 classes: a; b" in text
    assert "224x224 (height x width) from the centre, shorter side fitted to 248x248 (bicubic)" in text
    assert "notes" not in text


def test_list_has_every_model_and_filters(capsys: Capture) -> None:
    assert [m["name"] for m in answer(capsys, "list")["models"]] == list(list_models())
    assert main(["list", "levit"]) == 0
    text = capsys.readouterr().out
    assert "levit_conv_128s" in text
    assert "mobilevit" not in text
    assert "timm/" in text
    assert matching("vit", ("levit_1", "shvit_s1", "resnet")) == ["levit_1", "shvit_s1"]


def test_devices_are_listed_and_told(capsys: Capture) -> None:
    listed = {d["slug"]: d for d in answer(capsys, "devices")["devices"]}
    assert answer(capsys, "devices", "Pixel 8") == listed["pixel-8"]
    assert main(["devices", "pixel-8"]) == 0
    text = capsys.readouterr().out
    assert listed["pixel-8"]["prefer"]["reason"] in text
    assert all(source["url"] in text for source in listed["pixel-8"]["sources"])
    assert main(["devices"]) == 0
    assert all(slug in text for text in [capsys.readouterr().out] for slug in listed)


def test_predict_says_a_line_a_frame_and_saves(bundle: str, capsys: Capture) -> None:
    words = ["predict", bundle, "synthetic://shapes?count=3", "--engine", "null"]
    assert main([*words, "--topk", "2", "--save", "out", "lines.jsonl"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split(":")[2][:12] for line in lines] == ["//shapes/000"] * 3 or len(lines) == 3
    assert all("UNTRAINED weights, no meaning" in line and line.count(",") == 2 for line in lines)
    assert "3 frames" in captured.err
    assert len(list(Path("out").iterdir())) == 3
    assert len(Path("lines.jsonl").read_text().splitlines()) == 3

    assert main([*words, "--json", "--limit", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [t["index"] for t in told] == [0, 1]
    assert all(t["untrained"] for t in told)


def test_predict_passes_over_what_cannot_be_read_if_asked_to(bundle: str, capsys: Capture) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"no picture")
    words = ["predict", bundle, "in", "--engine", "null"]
    assert main(words) == 2
    assert "in/a.png is not a picture" in capsys.readouterr().err
    assert main([*words, "--on-error", "skip"]) == 2
    assert "None of the 1 pictures could be read" in capsys.readouterr().err
    write_picture("in/b.png", np.zeros((9, 9, 3), np.uint8))
    assert main([*words, "--on-error", "skip"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("in/b.png: ")
    assert "passed over: " in captured.err


def test_a_failing_predict_writes_no_error_among_its_json_lines(bundle: str, capsys: Capture) -> None:
    assert main(["predict", bundle, "nothing.png", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "There is no" in captured.err


def test_val_tells_accuracy_rule_and_certainty(bundle: str, capsys: Capture) -> None:
    words = ["val", bundle, "synthetic://shapes?count=40&size=32", "--engine", "null"]
    told = answer(capsys, *words, "--limit", "20", "--color", "both")
    assert told["score"]["count"] == told["swapped"]["count"] == 20
    assert told["classes_seen"] == 10
    assert told["trained"] is False
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.startswith("UNTRAINED weights: these figures are those of chance.")
    assert "of 40 (95% sure: " in text
    assert "rendered, of the split 'test'" in text


def test_bench_shows_a_table_and_the_reason_of_what_failed(bundle: str, capsys: Capture) -> None:
    words = ["bench", bundle, "--iters", "2", "--warmup", "0", "--picture", "32x48"]
    assert main([*words, bundle, "--engine", "null"]) == 0
    text = capsys.readouterr().out
    assert "UNTRAINED weights" in text
    assert "ratio" in text
    assert "frames of 32x48" in text
    told = answer(capsys, *words, "--engine", "nul", code=2)
    assert "Did you mean null" in told["results"][0]["fault"]
    assert main([*words, "--engine", "nul"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Did you mean null" in captured.err


def test_a_zip_is_a_bundle_too(bundle: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevit.bundle import open_bundle

    monkeypatch.setenv("EDGEVIT_CACHE", "cache")
    open_bundle(bundle).to_zip("tiny.zip")
    assert answer(capsys, "info", "tiny.zip")["model"] == "tiny"
    assert main(["info", "other.zip"]) == 2


def test_a_word_means_a_path_before_a_shipped_model(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevit.cli import bundles

    monkeypatch.setattr(bundles, "shipped_bundle", lambda name: Path("/shipped") if name == "shvit_shapes" else None)
    assert find_bundle("shvit_shapes") == Path("/shipped")
    Path("shvit_shapes").mkdir()
    assert find_bundle("shvit_shapes") == Path("shvit_shapes")
    with pytest.raises(BundleError, match="Did you mean tiny-onnx-fp32"):
        find_bundle("tiny-onnx-fp16")
    with pytest.raises(BundleError, match=r"Type: edgevit export timm/resnet18"):
        find_bundle("timm/resnet18")


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**6, "2.0 MB"), (10**10, "10.0 GB")],
)
def test_sizes(size: int | None, text: str) -> None:
    assert size_text(size) == text
