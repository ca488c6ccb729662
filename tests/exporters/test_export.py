from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_nets
import torch
from torch import nn

import edgevit
from edgevit.bundle import Bundle, open_bundle
from edgevit.errors import ConversionError, EngineError, RefusedError, UnsupportedError, UsageError
from edgevit.exporters import EXPORTERS, target, verify
from edgevit.exporters.command import called, spelled
from edgevit.exporters.pictures import built_in, from_folder
from edgevit.exporters.stand_ins import open_file
from edgevit.kernels import prepare
from edgevit.models import ModelDef
from edgevit.pictures import write_picture
from edgevit.progress import Step
from edgevit.runtime.engines import run_batch
from edgevit.spec import ImageSpec, Spec


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


@pytest.fixture(scope="module")
def sealed(small: ModelDef, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return edgevit.export(small, format="onnx", out=tmp_path_factory.mktemp("sealed") / "small")


def answer(bundle: Bundle, model: ModelDef) -> tuple[np.ndarray, np.ndarray]:
    """Return what the bundle and the module say to one picture."""
    picture = built_in(model.spec, most=1, split="test").readers[0]()
    theirs, ours = (prepare(picture, spec.image, color="rgb") for spec in (bundle.manifest.spec, model.spec))
    graph = bundle.manifest.graphs["main"]
    engine = open_file(bundle.manifest.format, bundle.graph_file(), graph).engine
    try:
        got = run_batch(engine, graph, theirs)
    finally:
        engine.close()
    with torch.inference_mode():
        return got, model.module(torch.from_numpy(ours)).numpy()


PROOFS = {"coreml": "executed" if sys.platform == "darwin" else "interpreted", "tensorrt": "graph-only"}


@pytest.mark.parametrize("format_name", sorted(EXPORTERS))
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_format_and_precision_is_exported_proven_and_run(
    small: ModelDef, tmp_path: Path, format_name: str, precision: str
) -> None:
    steps: list[Step] = []
    bundle = edgevit.export(small, format=format_name, precision=precision, out=tmp_path / "b", progress=steps.append)
    reopened = open_bundle(bundle.path)
    assert reopened.manifest == bundle.manifest
    assert bundle.manifest.verification["passed"]
    assert bundle.manifest.graphs["main"].proof == PROOFS.get(format_name, "executed")
    assert bundle.manifest.spec.image.values == ("levels" if format_name == "coreml" else "normalised")
    got, wanted = answer(bundle, small)
    tolerance = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.3}[precision]
    assert np.abs(got - wanted).max() / np.abs(wanted).max() < tolerance
    assert verify.verify(bundle, golden=True).passed
    assert {s.name for s in steps if s.seconds is not None} >= {
        "rewrite and trace",
        "run the produced file",
        "seal the bundle",
    }


@pytest.mark.parametrize("format_name", sorted(EXPORTERS))
def test_a_file_may_take_a_cameras_bytes(small: ModelDef, tmp_path: Path, format_name: str) -> None:
    bundle = edgevit.export(small, format=format_name, precision="fp32", uint8_input=True, out=tmp_path / "b")
    assert bundle.manifest.spec.image.values == "levels"
    assert bundle.manifest.graphs["main"].inputs[0].dtype == "uint8"
    got, wanted = answer(bundle, small)
    assert np.abs(got - wanted).max() / np.abs(wanted).max() < 1e-4
    assert verify.verify(bundle, golden=True).passed


def test_the_manifest_tells_the_whole_contract(sealed: Bundle, small: ModelDef) -> None:
    m = sealed.manifest
    assert m.spec == small.spec
    assert m.graphs["main"].inputs[0].shape == (1, 3, 32, 32)
    assert not m.trained
    assert m.engine["name"] == "onnxruntime"
    assert {"edgevit", "torch", "onnx"} <= set(m.provenance.tools)
    assert m.verification["figures"]["noise_relative"] > 0
    assert m.operations == {"preprocess": "image/1", "postprocess": "softmax/1"}
    assert m.provenance.command == "in Python: edgevit.export(<ModelDef 'small'>, format='onnx', precision='fp32')"


def test_what_made_a_bundle_is_told_as_a_call_or_as_a_command_without_places(tmp_path: Path) -> None:
    words = ({"format": "onnx", "device": None}, {"calib": tmp_path / "mine", "gates": {"top1": 0.9}, "dynamic": True})
    assert called("levit_128s", *words) == (
        "in Python: edgevit.export(<ModelDef 'levit_128s'>, format='onnx', calib='mine', gates={'top1': 0.9}, "
        "dynamic=True)"
    )
    assert spelled("levit_128s", *words) == (
        "edgevit export levit_128s --format onnx --calib mine --gate top1=0.9 --dynamic"
    )


def test_onnx_metadata_holds_labels_and_normalisation(sealed: Bundle) -> None:
    told = {p.key: p.value for p in onnx.load(sealed.graph_file()).metadata_props}
    assert json.loads(told["labels"]) == list(small_nets.LABELS)
    assert json.loads(told["mean"]) == pytest.approx([0.485, 0.456, 0.406])
    assert told["weights"] == "UNTRAINED"


def test_a_file_short_of_its_gate_is_refused_and_only_the_report_stays(small: ModelDef, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RefusedError, match=r"relative .* \(at most 1e-09\): failed.*Nothing was sealed"):
        edgevit.export(_calm(small), format="onnx", precision="fp16", out=out, gates={"relative": 1e-9})
    assert [p.name for p in tmp_path.iterdir()] == ["out.refused"]
    assert [p.name for p in (tmp_path / "out.refused").iterdir()] == ["report.json"]
    assert json.loads((tmp_path / "out.refused" / "report.json").read_text())["passed"] is False


def _calm(model: ModelDef) -> ModelDef:
    """Return the model with a head of zeros but for its bias: noise on the input does not move it at all."""
    module = small_nets.SmallNet()
    module.load_state_dict(model.module.state_dict())
    nn.init.zeros_(module.head.weight)
    nn.init.uniform_(module.head.bias)
    return replace(model, module=module.eval())


def test_keep_leaves_the_files_of_a_refused_export(small: ModelDef, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        edgevit.export(
            _calm(small), format="onnx", precision="fp16", out=tmp_path / "o", gates={"relative": 0}, keep=True
        )
    assert (tmp_path / "o.refused" / "model.onnx").is_file()


def test_a_converter_that_changes_the_weights_is_caught(
    small: ModelDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = EXPORTERS.load("onnx")
    real = exporter.convert

    def wrong(traced, job):  # type: ignore[no-untyped-def]
        made = real(traced, job)
        model = onnx.load(job.folder / made.file)
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.flat[0] += 1.0
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, job.folder / made.file)
        return made

    monkeypatch.setattr(exporter, "convert", wrong)
    with pytest.raises(RefusedError, match="failed"):
        edgevit.export(small, format="onnx", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_refused_export_takes_no_folder_that_is_not_its_own(small: ModelDef, tmp_path: Path) -> None:
    (tmp_path / "out.refused").mkdir()
    (tmp_path / "out.refused" / "thesis.txt").write_text("years")
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"out\.refused-2"):
            edgevit.export(_calm(small), format="onnx", precision="fp16", out=tmp_path / "out", gates={"relative": 0})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.refused", "out.refused-2"]
    assert (tmp_path / "out.refused" / "thesis.txt").exists()


class Loud(nn.Module):
    """Answer calmly by way of numbers that fp16 cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.quiet = small_nets.SmallNet()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.quiet(image)
        return (scores * 1e6) * 1e-6


def test_fp16_that_would_overflow_on_a_phone_is_refused_though_it_agrees_here(small: ModelDef, tmp_path: Path) -> None:
    loud = ModelDef.from_module(Loud(), small.spec, name="loud", weights=small.weights)
    with pytest.raises(RefusedError, match=r"largest value inside .* \(at most 6.55e\+04\): failed"):
        edgevit.export(loud, format="openvino", precision="fp16", out=tmp_path / "out")
    assert edgevit.export(loud, format="openvino", out=tmp_path / "fp32").manifest.verification["passed"]


def test_a_broken_model_is_told_and_not_compared(small: ModelDef, tmp_path: Path) -> None:
    broken = small_nets.SmallNet()
    nn.init.constant_(broken.head.bias, float("nan"))
    with pytest.raises(ConversionError, match="itself answers NaN"):
        edgevit.export(replace(small, module=broken.eval()), format="onnx", out=tmp_path / "out")


def test_a_proof_leaves_out_the_pictures_of_the_calibration_where_it_can(tmp_path: Path) -> None:
    for index in range(30):
        write_picture(tmp_path / f"{index}.png", np.full((8, 8, 3), index, np.uint8))
    first, after = from_folder(tmp_path, most=10), from_folder(tmp_path, most=10, after=10)
    assert not set(first.names) & set(after.names)
    again = from_folder(tmp_path, most=10, after=25)
    assert set(again.names) == set(first.names)
    assert from_folder(tmp_path, most=20).source == f"{tmp_path.name}/ (20 of 30 pictures)"


def test_an_existing_folder_is_told_before_any_work(sealed: Bundle, small: ModelDef) -> None:
    steps: list[Step] = []
    with pytest.raises(UsageError, match="--force"):
        edgevit.export(small, format="onnx", out=sealed.path, progress=steps.append)
    assert steps == []


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_a_dynamic_batch_takes_one_and_many(small: ModelDef, tmp_path: Path, format_name: str) -> None:
    bundle = edgevit.export(small, format=format_name, dynamic=True, out=tmp_path / "d")
    assert bundle.manifest.graphs["main"].inputs[0].shape[0] == -1
    batch = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    with edgevit.load(bundle) as session:
        rows = np.concatenate([session.infer(batch[i : i + 1]) for i in range(5)])
        np.testing.assert_allclose(session.infer(batch), rows, rtol=1e-3, atol=1e-5)


def test_a_fixed_batch_and_another_size_and_opset_are_kept(small: ModelDef, tmp_path: Path) -> None:
    bundle = edgevit.export(small, format="onnx", batch=3, imgsz=48, opset=17, out=tmp_path / "b")
    assert bundle.manifest.graphs["main"].inputs[0].shape == (3, 3, 48, 48)
    assert bundle.manifest.spec.image.resize_hw == (54, 54)
    assert onnx.load(bundle.graph_file()).opset_import[0].version == 17


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "--format onnx"),
        ({"format": "onxx"}, "Did you mean onnx"),
        ({"device": "pixel-88"}, "pixel-8"),
        ({"format": "onnx", "precision": "int4"}, "fp32, fp16, int8"),
        ({"format": "litert", "dynamic": True}, "no dynamic batch"),
        ({"format": "litert", "opset": 17}, "only ONNX has"),
        ({"format": "onnx", "opset": 5}, "opset must be"),
        ({"format": "onnx", "batch": 0}, "--batch"),
        ({"format": "onnx", "dynamic": True, "batch": 4}, "--dynamic"),
        ({"format": "onnx", "gates": {"psnr": 30}}, "no gate 'psnr'"),
        ({"format": "onnx", "weights": "random"}, "belongs to a model's name"),
        ({"format": "onnx", "images": "/no/such/folder"}, "no such folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(small: ModelDef, tmp_path: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        edgevit.export(small, out=tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_int8_of_trained_weights_wants_real_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--calib DIR"):
        edgevit.export(small_nets.model_def(trained=True), format="onnx", precision="int8", out=tmp_path / "o")


def test_a_device_chooses_and_an_explicit_wish_wins() -> None:
    chosen = target.choose_target(None, "pixel-8", None, None)
    assert (chosen.format.name, chosen.precision) == ("litert", "fp16")
    wished = target.choose_target("onnx", "pixel-8", "int8", None)
    assert (wished.format.name, wished.precision) == ("onnx", "int8")
    assert target.choose_target("onnx", "jetson-agx-xavier", None, None).opset == 17
    assert target.default_out("timm/resnet18", chosen) == "timm_resnet18-litert-fp16-pixel-8"


def test_a_module_that_cannot_be_traced_is_told(tmp_path: Path) -> None:
    class Wild(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            if float(image.mean()) > 1:
                return image.mean((2, 3))
            return image.amax((2, 3))

    spec = Spec("classify", ImageSpec((16, 16), (16, 16)), ("r", "g", "b"))
    with pytest.raises(ConversionError, match=r"torch.export cannot trace"):
        edgevit.export(ModelDef.from_module(Wild(), spec), format="onnx", out=tmp_path / "w")


def test_another_size_than_the_module_can_take_is_told(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    model = ModelDef.from_module(net, Spec("classify", ImageSpec((16, 16), (16, 16)), ("r", "g", "b")))
    with pytest.raises(UnsupportedError, match="cannot take"):
        edgevit.export(model, format="onnx", imgsz=32, out=tmp_path / "o")


def test_without_the_model_the_stored_reference_is_the_judge(sealed: Bundle, tmp_path: Path) -> None:
    report = verify.verify(sealed.path, images=tmp_path)
    assert report.passed
    assert report.compared_with == "the stored reference"
    assert any("--images was not used" in note for note in report.notes)


def test_a_bundle_is_verified_by_the_gates_it_was_sealed_with(small: ModelDef, tmp_path: Path) -> None:
    bundle = edgevit.export(small, format="onnx", precision="fp16", gates={"relative": 0.5}, out=tmp_path / "b")
    asked = {gate.name: gate.asked for gate in verify.verify(bundle).gates}
    assert asked["relative"] == 0.5
    with pytest.raises(UsageError, match="no sense"):
        verify.verify(bundle, gates={"top1": 2})


def test_a_gate_named_at_the_export_of_random_weights_counts_again_at_verify(
    small: ModelDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(bundle: Bundle, **words: Any) -> dict[str, bool]:
        return {gate.name: gate.counted for gate in verify.verify(bundle, **words).gates}

    plain = edgevit.export(small, format="onnx", precision="int8", out=tmp_path / "plain")
    assert "top1" not in counted(plain)
    named = edgevit.export(small, format="onnx", precision="int8", gates={"top1": 0.5}, out=tmp_path / "named")
    assert counted(named)["top1"]
    assert verify.verify(named).passed
    assert counted(plain, gates={"top1": 0.5})["top1"]
    real = verify.answers
    monkeypatch.setattr(verify, "answers", lambda *args: np.roll(real(*args), 1, axis=1))
    assert any(told.startswith("top1") for told in verify.verify(named).failures())


def test_a_handful_of_pictures_asks_for_no_more_top1_than_the_file_had_at_its_export(sealed: Bundle) -> None:
    gates = [{"name": "top1", "asked": 0.9, "counted": True}]
    judge = verify._Judge(Bundle(sealed.path, replace(sealed.manifest, verification={"gates": gates})), None)
    assert judge._limits_on_few(0.75)["top1"] == 0.75
    assert judge._limits_on_few(1.0)["top1"] == 0.9
    asked = verify._Judge(judge.bundle, {"top1": 1.0})
    assert asked._limits_on_few(0.75)["top1"] == 1.0


def test_a_bundle_with_another_preprocessing_than_the_card_is_found_out(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    source = edgevit.create_model("timm/mobilenetv3_small_050", "random", num_classes=3)
    torch.save(source.module.state_dict(), tmp_path / "best.pth")
    words = {"weights": tmp_path / "best.pth", "num_classes": 3, "gates": {"top1": 0.0}}
    bundle = edgevit.export("timm/mobilenetv3_small_050", format="onnx", out=tmp_path / "b", **words)  # type: ignore[arg-type]
    best = str(tmp_path / "best.pth")
    assert verify.verify(bundle, weights=best).passed
    for change in ({"color": "bgr"}, {"interpolation": "nearest"}, {"mean": (0.1, 0.1, 0.1)}):
        spec = replace(bundle.manifest.spec, image=replace(bundle.manifest.spec.image, **change))
        report = verify.verify(Bundle(bundle.path, replace(bundle.manifest, spec=spec)), weights=best)
        assert not report.passed, change
        assert any(next(iter(change)) in note for note in report.notes)


def test_a_bundle_with_another_golden_answer_fails_its_own_test(sealed: Bundle, tmp_path: Path) -> None:
    def reseal(change: Callable[[dict[str, np.ndarray]], None]) -> Path:
        from edgevit.bundle import seal, staging

        out = tmp_path / f"b{len(list(tmp_path.iterdir()))}"
        with staging(out) as folder:
            for name in sealed.manifest.files:
                (folder / name).write_bytes(sealed.file(name).read_bytes())
            arrays = dict(np.load(folder / "golden.npz"))
            change(arrays)
            np.savez(folder / "golden.npz", **arrays)
            return seal(folder, sealed.manifest, out).path

    assert verify.verify(reseal(lambda a: None), golden=True).passed
    assert not verify.verify(reseal(lambda a: a.update(output=a["output"] * 1.1)), golden=True).passed
    assert not verify.verify(reseal(lambda a: a.update(picture=255 - a["picture"])), golden=True).passed


@pytest.mark.parametrize("golden", [True, False])
def test_a_change_too_small_for_the_gates_is_no_proof_all_the_same(
    sealed: Bundle, tmp_path: Path, golden: bool
) -> None:
    copy = Path(shutil.copytree(sealed.path, tmp_path / "copy"))
    data = bytearray((copy / "reference.npz").read_bytes())
    data[10] ^= 1  # the hour at which its first member was packed: no reader looks
    (copy / "reference.npz").write_bytes(data)
    report = verify.verify(copy, golden=golden, ignore_checksums=True)
    assert [gate.name for gate in report.gates if not gate.passed] == ["files that are not the sealed ones"]
    assert not report.passed
    assert verify.verify(sealed.path, golden=golden, ignore_checksums=True).passed


def test_nothing_is_unpickled_from_a_golden_sample(sealed: Bundle, tmp_path: Path) -> None:
    from edgevit.bundle import seal, staging
    from edgevit.errors import BundleError

    with staging(tmp_path / "evil") as folder:
        for name in sealed.manifest.files:
            (folder / name).write_bytes(sealed.file(name).read_bytes())
        objects = np.array([{"a": 1}], dtype=object)
        np.savez(folder / "golden.npz", picture=objects, input=objects, output=objects)
        evil = seal(folder, sealed.manifest, tmp_path / "evil")
    with pytest.raises(BundleError, match="cannot be read"):
        verify.verify(evil, golden=True)


def test_a_bundle_whose_engine_fails_raises_and_does_not_pass(sealed: Bundle) -> None:
    broken = replace(
        sealed.manifest.graphs["main"], outputs=(replace(sealed.manifest.graphs["main"].outputs[0], name="none"),)
    )
    bundle = Bundle(sealed.path, replace(sealed.manifest, graphs={"main": broken}))
    with pytest.raises(EngineError):
        verify.verify(bundle, golden=True)
