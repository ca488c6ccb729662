from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgevit
from edgevit.errors import DownloadError, SpecError, UnknownNameError, UnsupportedError, UsageError, WeightsError
from edgevit.models import ModelDef, create_model, describe
from edgevit.models.classifiers import card_of, image_spec
from edgevit.models.create import blueprint_of, read_labels, size_of
from edgevit.registry import MODEL_FAMILIES
from edgevit.spec import ImageSpec, Spec


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def levit() -> ModelDef:
    return create_model("levit_128s", "random")


def test_random_weights_are_live_seeded_and_marked(levit: ModelDef) -> None:
    assert not levit.weights.trained
    assert levit.weights.source == "random (seed 0)"
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        answer = levit.module(image)
    assert answer.std() > 0.1
    assert not levit.module.training
    norms = [m for m in levit.module.modules() if isinstance(m, nn.BatchNorm1d)]
    assert norms
    assert all(bool((m.weight.abs() > 0.05).all()) for m in norms)


def test_the_contract_is_the_weights_own_card(levit: ModelDef) -> None:
    image = levit.spec.image
    assert (image.size_hw, image.resize_hw, image.interpolation) == ((224, 224), (248, 248), "bicubic")
    assert levit.spec.labels[0] == "tench"
    assert levit.spec.label_ids[0] == "n01440764"
    assert len(set(levit.spec.labels)) == 1000
    assert levit.code_licence == "Apache-2.0"


def test_mobilevit_v1_says_that_its_colour_order_is_in_doubt() -> None:
    told = describe("mobilevit_s")
    assert any("BGR" in note for note in told["notes"])
    assert told["input"]["mean"] == (0, 0, 0)
    assert told["weights_licence"] == "cvnets-license"


@pytest.mark.parametrize("family", [f for f in MODEL_FAMILIES if f != "shapes"])
def test_every_name_has_a_card_that_is_a_contract(family: str) -> None:
    for name in MODEL_FAMILIES[family]:
        image = image_spec(card_of(name))
        assert image.antialias
        assert min(image.resize_hw) >= min(image.size_hw)


def test_own_classes_take_the_place_of_the_published_ones(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeffcat\n dog \n\nowl\n", encoding="utf-8")
    model = create_model("timm/mobilenetv3_small_050", "random", labels=tmp_path / "labels.txt", mean=(0.5, 0.5, 0.5))
    assert model.spec.labels == ("cat", "dog", "owl")
    assert model.spec.label_ids == ()
    assert model.spec.image.mean == (0.5, 0.5, 0.5)
    assert model.spec.image.std == pytest.approx((0.229, 0.224, 0.225))
    with torch.inference_mode():
        assert model.module(torch.zeros(1, 3, 224, 224)).shape == (1, 3)


def test_a_fine_tuned_checkpoint_is_loaded_and_another_class_count_is_told(tmp_path: Path) -> None:
    source = create_model("timm/mobilenetv3_small_050", "random", num_classes=7, seed=3)
    torch.save({"state_dict": source.module.state_dict(), "epoch": 3}, tmp_path / "best.pth")
    loaded = create_model("timm/mobilenetv3_small_050", tmp_path / "best.pth", num_classes=7)
    image = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(loaded.module(image), source.module(image))
    assert loaded.weights.trained
    assert loaded.weights.source == "file"
    assert loaded.weights.sha256
    with pytest.raises(WeightsError, match="num-classes"):
        create_model("timm/mobilenetv3_small_050", tmp_path / "best.pth")


def test_another_size_reaches_models_that_are_built_for_one() -> None:
    model = create_model("efficientvit_m0", "random", imgsz=192)
    assert model.spec.image.size_hw == (192, 192)
    with torch.inference_mode():
        assert model.module(torch.zeros(1, 3, 192, 192)).shape == (1, 1000)


@pytest.mark.parametrize("name", ["levit_128s", "mobilevit_s", "efficientvit_m0", "timm/resnet18"])
@pytest.mark.parametrize("size_hw", [(288, 288), (192, 256), (96, 96)])
def test_another_size_is_preprocessed_as_timm_would(name: str, size_hw: tuple[int, int]) -> None:
    from timm.data import create_transform, resolve_data_config

    card = card_of(name.removeprefix("timm/"))
    wanted = resolve_data_config({"input_size": (3, *size_hw)}, pretrained_cfg=card)
    resize = create_transform(**wanted).transforms[0]
    size = resize.size if isinstance(resize.size, (tuple, list)) else (resize.size, resize.size)
    assert image_spec(card, size_hw).resize_hw == tuple(size)


def test_the_size_that_was_asked_for_reaches_the_preprocessing() -> None:
    assert blueprint_of("levit_128s", size_hw=(288, 288)).image.resize_hw == (320, 320)


@pytest.mark.parametrize(("name", "published"), [("shvit_shapes", 10), ("timm/mobilenetv3_small_050", 1000)])
def test_own_weights_with_as_many_classes_do_not_get_the_published_names(
    tmp_path: Path, name: str, published: int
) -> None:
    plan = blueprint_of(name)
    torch.save(plan.module.state_dict(), tmp_path / "best.pth")
    own = create_model(name, tmp_path / "best.pth", num_classes=published)
    assert own.spec.labels[:2] == ("class 0", "class 1")
    assert own.num_classes == published
    assert own.spec.label_ids == ()
    assert create_model(name, tmp_path / "best.pth").spec.labels == plan.labels, "the authors' file"
    named = create_model(name, tmp_path / "best.pth", num_classes=published, labels=plan.labels)
    assert named.spec.labels == plan.labels


def test_without_a_network_the_default_names_the_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"--weights FILE .*--weights random"):
        create_model("shvit_s1")


def test_no_weights_are_shipped_for_most_models() -> None:
    with pytest.raises(WeightsError, match="No weights are shipped for shvit_s1"):
        create_model("shvit_s1", "shipped")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("levit_128z", "levit_128"),
        ("timm/resnet81", "timm/resnet"),
        ("resnet18", "Did you mean timm/resnet18"),
        ("", "model"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, told: str) -> None:
    with pytest.raises(UnknownNameError, match=told):
        create_model(name, "random")


def test_an_unknown_tag_of_a_known_net_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'timm/resnet18\.a1_in2k'\. Did you mean timm/resnet18\.a1_in1k"
    ) as told:
        create_model("timm/resnet18.a1_in2k", "random")
    assert "Type: edgevit export timm/resnet18." in str(told.value)


def test_what_is_no_classifier_is_told() -> None:
    with pytest.raises(UnsupportedError, match="not a classifier"):
        create_model("timm/vit_small_patch14_dinov2", "random")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_classes": 1}, "num_classes"),
        ({"num_classes": 3, "labels": ["a", "b"]}, "2 labels for 3 classes"),
        ({"labels": ["a", "a"]}, "stands twice"),
        ({"labels": ["a", ""]}, "none of them empty"),
        ({"labels": "/no/such/labels.txt"}, "cannot be read"),
        ({"imgsz": 4}, "imgsz"),
        ({"imgsz": (64, 64, 64)}, "imgsz"),
        ({"mean": (1, 2)}, "mean must be three"),
        ({"std": (0, 1, 1)}, "std must be"),
        ({"mean": (123.7, 116.3, 103.5)}, "mean must be three numbers from 0 to 1"),
    ],
)
def test_senseless_options_are_one_sentence(options: dict[str, object], told: str) -> None:
    with pytest.raises((UsageError, SpecError), match=told):
        create_model("timm/mobilenetv3_small_050", "random", **options)  # type: ignore[arg-type]


def test_labels_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_labels(tmp_path / "labels.txt")


def test_sizes_are_read_as_height_and_width() -> None:
    assert size_of(None) is None
    assert size_of(64) == (64, 64)
    assert size_of((48, 64)) == (48, 64)


SPEC = Spec("classify", ImageSpec((16, 16), (16, 16)), ("a", "b", "c"))


def test_any_torch_classifier_becomes_a_model() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 3)).half()
    model = ModelDef.from_module(net, SPEC)
    assert model.num_classes == 3
    assert model.weights.trained
    assert next(model.module.parameters()).dtype == torch.float32
    assert next(net.parameters()).dtype == torch.float16
    assert model.graphs["main"].example(2)[0].shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.Flatten(), r"768 outputs and the spec 3 labels"),
        (nn.Identity(), r"one tensor \(N, classes\)"),
        (nn.Linear(5, 3), r"cannot take \(N, 3, 16, 16\)"),
    ],
)
def test_a_module_that_is_no_classifier_is_told(module: nn.Module, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        ModelDef.from_module(module, SPEC)


def test_a_contract_that_torch_cannot_keep_is_refused_before_any_work() -> None:
    upright = replace(SPEC, image=replace(SPEC.image, layout="nhwc"))
    with pytest.raises(SpecError, match=r"layout='nchw', not 'nhwc'"):
        ModelDef.from_module(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), upright)


def test_the_output_is_named_what_it_is() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 3), nn.Softmax(1))
    assert ModelDef.from_module(net, SPEC).graphs["main"].outputs[0].name == "logits"
    sure = ModelDef.from_module(net, replace(SPEC, output="probabilities"))
    assert sure.graphs["main"].outputs[0].name == "probabilities"


def test_the_face_creates_models() -> None:
    assert edgevit.create_model is create_model
    assert np.isfinite(describe("shvit_s1")["parameters"])
