from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import SpecError, UnknownNameError, UnsupportedError
from edgevit.formats import FORMATS, check_precision, find_format
from edgevit.registry import MODEL_FAMILIES, MODELS, Registry, family_of, list_models
from edgevit.spec import ImageSpec, Spec

sides = st.integers(1, 512)
unit = st.floats(0, 1, allow_nan=False)
scale = st.floats(0.01, 2, allow_nan=False)


@st.composite
def images(draw: st.DrawFn) -> ImageSpec:
    size = (draw(sides), draw(sides))
    return ImageSpec(
        size_hw=size,
        resize_hw=(size[0] + draw(sides), size[1] + draw(sides)),
        fit=draw(st.sampled_from(["shorter", "squash", "pad"])),
        interpolation=draw(st.sampled_from(["bilinear", "bicubic", "nearest"])),
        antialias=draw(st.booleans()),
        color=draw(st.sampled_from(["rgb", "bgr"])),
        mean=(draw(unit), draw(unit), draw(unit)),
        std=(draw(scale), draw(scale), draw(scale)),
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
    )


@given(images(), st.lists(st.text(), max_size=5))
def test_a_spec_survives_json(image: ImageSpec, labels: list[str]) -> None:
    spec = Spec("classify", image, tuple(labels), tuple(f"id{i}" for i in range(len(labels))))
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"size_hw": (0, 8)},
        {"size_hw": (8.5, 8)},
        {"size_hw": (8,)},
        {"resize_hw": (4, 8)},
        {"mean": (0.1, 0.2)},
        {"mean": (0.1, float("nan"), 0.2)},
        {"std": (1.0, 0.0, 1.0)},
        {"std": (1.0, -1.0, 1.0)},
        {"fit": "stretch"},
        {"interpolation": "lanczos"},
        {"color": "hsv"},
        {"layout": "chw"},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"size_hw": (8, 8), "resize_hw": (9, 9), **change}
    with pytest.raises(SpecError, match=next(iter(change))):
        ImageSpec(**whole)  # type: ignore[arg-type]


def test_another_size_keeps_the_share_that_the_crop_keeps() -> None:
    image = ImageSpec((224, 224), (256, 256)).scaled_to((112, 160))
    assert image.size_hw == (112, 160)
    assert image.resize_hw == (128, 182)


def test_label_ids_run_beside_the_labels() -> None:
    with pytest.raises(SpecError, match="side by side"):
        Spec("classify", ImageSpec((8, 8), (8, 8)), ("a", "b"), ("n1",))


@pytest.mark.parametrize(
    ("spelled", "meant"), [("tflite", "litert"), ("OV", "openvino"), (".onnx", "onnx"), ("ort", "onnx")]
)
def test_formats_answer_to_their_aliases(spelled: str, meant: str) -> None:
    assert find_format(spelled).name == meant


def test_an_unknown_format_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean openvino"):
        find_format("openvin")


def test_an_unknown_precision_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnsupportedError, match="fp32, fp16, int8"):
        check_precision(FORMATS["onnx"], "int4")


def test_names_are_listed_by_task_and_known_by_family() -> None:
    assert set(list_models("classify")) == set(list_models()) == set(MODELS)
    assert len(list_models()) == sum(len(names) for names in MODEL_FAMILIES.values())
    assert family_of("levit_conv_192") == "levit_conv"
    assert family_of("timm/resnet18") == "timm"
    with pytest.raises(UnknownNameError, match="classify"):
        list_models("classfy")


def test_a_registry_opens_its_module_on_first_use() -> None:
    registry = Registry("thing", {"json": "json"}, ask="nothing")
    assert registry.load("json") is json
    with pytest.raises(UnknownNameError, match="Did you mean json"):
        registry.load("jsn")
