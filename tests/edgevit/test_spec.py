from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import SpecError, UnknownNameError, UnsupportedError
from edgevit.formats import FORMATS, check_precision, find_format
from edgevit.registry import MODEL_FAMILIES, MODELS, TRACKER_FAMILIES, Registry, family_of, list_models
from edgevit.spec import ImageSpec, Spec, TrackSpec

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
        values=draw(st.sampled_from(["normalised", "levels"])),
    )


@given(images(), st.lists(st.text(), max_size=5))
def test_a_spec_survives_json(image: ImageSpec, labels: list[str]) -> None:
    spec = Spec("classify", image, tuple(labels), tuple(f"id{i}" for i in range(len(labels))))
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


ends = st.tuples(st.text("abc_", min_size=1), st.text("xyz_", min_size=1)).map(".".join)


@st.composite
def tracks(draw: st.DrawFn) -> TrackSpec:
    features = draw(st.none() | st.text(min_size=1))
    return TrackSpec(
        template_size_hw=(draw(sides), draw(sides)),
        search_size_hw=(draw(sides), draw(sides)),
        template_factor=draw(st.floats(0.5, 8)),
        search_factor=draw(st.floats(0.5, 8)),
        crop=draw(st.text(min_size=1)),
        margin=draw(st.integers(0, 100)),
        map_stride=draw(sides),
        score=draw(st.none() | st.text(min_size=1)),
        features=features,
        feature_stride=None if features is None else draw(sides),
        state=tuple(draw(st.lists(st.tuples(ends, ends), max_size=3))),
        tuning=tuple(draw(st.lists(st.tuples(st.text(), st.floats(-100, 100)), max_size=3))),
    )


@given(images(), tracks())
def test_a_trackers_spec_survives_json(image: ImageSpec, track: TrackSpec) -> None:
    size = track.search_size_hw
    spec = Spec("track", replace(image, size_hw=size, resize_hw=size), output="box", track=track)
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert hash(spec) == hash(Spec.from_dict(json.loads(json.dumps(spec.to_dict()))))


def test_a_classifiers_json_is_as_it_was_before_there_were_trackers() -> None:
    assert "track" not in Spec("classify", ImageSpec((8, 8), (8, 8))).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"template_size_hw": (0, 8)},
        {"template_size_hw": 96},
        {"search_size_hw": (8, 8.5)},
        {"template_factor": 0},
        {"search_factor": float("nan")},
        {"search_factor": "4"},
        {"crop": ""},
        {"crop": 1},
        {"margin": -1},
        {"margin": 2.5},
        {"map_stride": 0},
        {"map_stride": True},
        {"score": ""},
        {"features": "features"},
        {"feature_stride": 8},
        {"feature_stride": 0, "features": "features"},
        {"state": "template"},
        {"state": [("template.tokens",)]},
        {"state": [("template.tokens", "tokens")]},
        {"state": [("template.tokens", "track.a.b")]},
        {"tuning": {"rate": 1}},
        {"tuning": [("rate", float("nan"))]},
        {"tuning": [("rate", "fast")]},
        {"tuning": [(1, 2)]},
    ],
)
def test_a_track_spec_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"template_size_hw": (96, 96), "search_size_hw": (192, 192), **change}
    with pytest.raises(SpecError, match=next(iter(change)).split("_")[0]):
        TrackSpec(**whole)  # type: ignore[arg-type]


TRACK = TrackSpec((96, 96), (192, 192))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"track": None}, "go together"),
        ({"task": "classify"}, "go together"),
        ({"output": "logits"}, "go together"),
        ({"track": {"template_size_hw": (96, 96)}}, "must be a TrackSpec"),
        ({"track": replace(TRACK, search_size_hw=(256, 256))}, "search_size_hw"),
    ],
)
def test_a_trackers_spec_is_whole(change: dict[str, object], told: str) -> None:
    image = ImageSpec((192, 192), (192, 192))
    whole: dict[str, object] = {"task": "track", "image": image, "output": "box", "track": TRACK, **change}
    with pytest.raises(SpecError, match=told):
        Spec(**whole)  # type: ignore[arg-type]


def test_json_that_is_no_track_spec_is_told() -> None:
    whole = Spec("track", ImageSpec((192, 192), (192, 192)), output="box", track=TRACK).to_dict()
    tables: list[object] = [[], {}, {"template_size_hw": [96, 96]}, "hit"]
    for track in tables:
        with pytest.raises(SpecError):
            Spec.from_dict({**whole, "track": track})


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
        {"layout": ["nchw"]},
        {"size_hw": (True, 8)},
        {"size_hw": 8},
        {"size_hw": (8193, 8)},
        {"mean": "abc"},
        {"mean": (0.1, "0.2", 0.3)},
        {"mean": (10**400, 0.2, 0.3)},
        {"std": (1e-30, 1.0, 1.0)},
        {"std": None},
        {"antialias": "no"},
        {"antialias": 1},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"size_hw": (8, 8), "resize_hw": (9, 9), **change}
    with pytest.raises(SpecError, match=next(iter(change))):
        ImageSpec(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"task": 5},
        {"task": ""},
        {"labels": "abc"},
        {"labels": [1, {}, None]},
        {"label_ids": "n1"},
        {"notes": 5},
        {"topk": 2.5},
        {"topk": True},
        {"topk": 0},
        {"output": {}},
        {"image": {"size_hw": [8, 8]}},
    ],
)
def test_a_spec_is_of_the_types_it_says(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"task": "classify", "image": ImageSpec((8, 8), (8, 8)), **change}
    with pytest.raises(SpecError, match=next(iter(change))):
        Spec(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [{}, {"task": "classify"}, {"task": "classify", "image": []}, {"image": {}}, [], None])
def test_json_that_is_no_spec_is_told(data: Any) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        Spec.from_dict(data)


def test_lists_are_taken_as_tuples() -> None:
    image = ImageSpec([8, 8], [9, 9], mean=[0, 0, 0])  # type: ignore[arg-type]
    assert image == ImageSpec((8, 8), (9, 9), mean=(0.0, 0.0, 0.0))
    assert hash(Spec("classify", image, ["a"])) == hash(Spec("classify", image, ("a",)))  # type: ignore[arg-type]


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
    assert set(list_models()) == set(MODELS) == {*list_models("classify"), *list_models("track")}
    assert len(list_models("classify")) == sum(len(names) for names in MODEL_FAMILIES.values())
    assert list_models("track") == TRACKER_FAMILIES["hit"]
    assert family_of("levit_conv_192") == "levit_conv"
    assert family_of("timm/resnet18") == "timm"
    with pytest.raises(UnknownNameError, match="classify"):
        list_models("classfy")


def test_a_registry_opens_its_module_on_first_use() -> None:
    registry = Registry("thing", {"json": "json"}, ask="nothing")
    assert registry.load("json") is json
    with pytest.raises(UnknownNameError, match="Did you mean json"):
        registry.load("jsn")
