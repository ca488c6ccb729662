from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_nets
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import edgevit
from edgevit.devices import load_device
from edgevit.errors import ConversionError, EdgevitError, UnsupportedError
from edgevit.exporters import coreml, coreml_camera, coreml_compress, coreml_package, mil_layers, mil_program, quantize
from edgevit.exporters.coreml_ops import more_operators
from edgevit.exporters.metadata import native_metadata
from edgevit.exporters.pictures import PictureSet, built_in
from edgevit.exporters.recipe import Converted, Job
from edgevit.exporters.trace import trace
from edgevit.formats import find_format
from edgevit.kernels import normalise
from edgevit.models import ModelDef, create_model
from edgevit.registry import SMALLEST
from edgevit.spec import ImageSpec

ct = pytest.importorskip("coremltools", reason="coremltools is not installed")

Array = np.ndarray[Any, Any]
FOLDER_OF_THIS_MACHINE = str(Path(__file__).resolve().parents[2]).encode()


def make(model: ModelDef, folder: Path, precision: str = "fp32", **job: Any) -> tuple[Path, Converted]:
    folder.mkdir(parents=True, exist_ok=True)
    traced = trace("main", model.graphs["main"], "coreml", batch=1, dynamic=False)
    told = native_metadata(model)
    made = coreml.convert(
        traced, Job(find_format("coreml"), precision, model.spec, folder, model="small", metadata=told, **job)
    )
    return folder / made.file, made


def spec_of(package: Path) -> Any:
    return ct.models.MLModel(str(package), skip_model_load=True).get_spec()


def levels(count: int = 4, size: int = small_nets.SIZE) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def answers(package: Path, pixels: Array, output: str = "logits") -> Array:
    program = mil_program.read(package, [output])
    rows = [program.evaluate({"image": torch.from_numpy(p.transpose(2, 0, 1).copy())[None]})[output] for p in pixels]
    return torch.cat(rows).numpy()


def wanted(model: ModelDef, pixels: Array) -> Array:
    """Ask the model in torch, by the preprocessing that every other format uses."""
    with torch.inference_mode():
        tensors = [torch.from_numpy(normalise(p, model.spec.image)) for p in pixels]
        rows: Array = model.module(torch.cat(tensors)).numpy()
        return rows


def relative(one: Array, other: Array) -> float:
    return float((np.abs(one - other).max(1) / np.abs(other).max(1)).max())


def with_image(model: ModelDef, **changes: Any) -> ModelDef:
    return replace(model, spec=replace(model.spec, image=replace(model.spec.image, **changes)))


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


@pytest.fixture(scope="module")
def made(small: ModelDef, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Converted]]:
    return {precision: make(small, tmp_path_factory.mktemp(precision), precision) for precision in ("fp32", "fp16")}


Made = Mapping[str, tuple[Path, Converted]]


@pytest.mark.parametrize(("precision", "most"), [("fp32", 2e-5), ("fp16", 1e-2)])
def test_a_package_answers_as_the_model_does(small: ModelDef, made: Made, precision: str, most: float) -> None:
    package, converted = made[precision]
    assert relative(answers(package, levels()), wanted(small, levels())) < most
    assert (converted.values, converted.layout, converted.inputs[0].dtype) == ("levels", "nchw", "uint8")
    assert converted.outputs[0].name == "logits"
    assert converted.notes == {"deployment_target": "iOS17"}
    assert mil_program.read(package).half == (precision == "fp16")


def test_an_app_sees_a_picture_a_label_and_the_scores(made: Made) -> None:
    spec = spec_of(made["fp16"][0])
    (image,) = spec.description.input
    assert image.type.WhichOneof("Type") == "imageType"
    assert (image.type.imageType.width, image.type.imageType.height) == (32, 32)
    assert ct.proto.FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(image.type.imageType.colorSpace) == "RGB"
    kinds = {f.name: f.type.WhichOneof("Type") for f in spec.description.output}
    assert kinds == {"classLabel": "stringType", "classLabel_probs": "dictionaryType", "logits": "multiArrayType"}
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.description.predictedProbabilitiesName == "classLabel_probs"
    scores = next(f for f in spec.description.output if f.name == "logits").type.multiArrayType
    assert (list(scores.shape), scores.dataType) == ([1, 4], ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32)
    assert all(f.shortDescription for f in (*spec.description.input, *spec.description.output))


def test_the_label_comes_from_the_softmax_of_the_scores(made: Made) -> None:
    """coremltools' own reader, which knows every operation by its types, takes the operation written here."""
    spec = spec_of(made["fp32"][0])
    main = spec.mlProgram.functions["main"]
    *_, softmax, classify = (op for op in main.block_specializations[main.opset].operations if op.type != "const")
    assert (softmax.type, classify.type) == ("softmax", "classify")
    assert softmax.inputs["x"].arguments[0].name == "logits"
    assert classify.inputs["probabilities"].arguments[0].name == softmax.outputs[0].name
    values = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    assert [v.immediateValue.tensor.strings.values[0] for v in values] == list(small_nets.LABELS)
    assert mil_program.read(made["fp32"][0]).outputs == ("logits",)


def test_the_package_holds_the_contract_in_its_own_metadata(small: ModelDef, made: Made) -> None:
    metadata = spec_of(made["fp16"][0]).description.metadata
    told = dict(metadata.userDefined)
    assert {key: told[key] for key in native_metadata(small)} == {**native_metadata(small), "values": "levels"}
    assert "UNTRAINED" in metadata.shortDescription
    assert "Apache-2.0" in metadata.license
    assert (metadata.author, metadata.versionString) == ("edgevit", "fp16")


def test_the_same_conversion_gives_the_same_files_without_dates_or_places(
    small: ModelDef, made: Made, tmp_path: Path
) -> None:
    first, again = made["fp16"][0], make(small, tmp_path, "fp16")[0]
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert [str(f) for f in files] == [
        "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin", "Manifest.json"]  # fmt: skip
    for file in files:
        data = (first / file).read_bytes()
        assert data == (again / file).read_bytes(), f"{file} differs"
        assert FOLDER_OF_THIS_MACHINE not in data
        assert b"conversion_date" not in data
        assert str(tmp_path).encode() not in data


def test_opening_a_package_changes_nothing_in_it(made: Made, tmp_path: Path) -> None:
    package = tmp_path / coreml.FILE
    shutil.copytree(made["fp16"][0], package)
    before = {p: p.read_bytes() for p in package.rglob("*") if p.is_file()}
    ct.models.MLModel(str(package), skip_model_load=True)
    assert {p: p.read_bytes() for p in package.rglob("*") if p.is_file()} == before
    listing = package / "Manifest.json"
    listing.write_text(listing.read_text().replace("    ", " "))
    before[listing] = listing.read_bytes()
    mil_program.read(package)
    assert {p: p.read_bytes() for p in package.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("std", [(0.5, 0.5, 0.5), (0.229, 0.224, 0.225)])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_the_normalisation_is_in_the_file_at_the_borders_too(
    small: ModelDef, tmp_path: Path, std: tuple[float, ...], color: str
) -> None:
    model = with_image(small, std=std, mean=(0.4, 0.5, 0.6), color=color)
    package, _ = make(model, tmp_path)
    white_edges = levels()
    white_edges[:, [0, -1]] = 255
    white_edges[:, :, [0, -1]] = 0
    assert relative(answers(package, white_edges), wanted(model, white_edges)) < 2e-5
    spec = spec_of(package)
    space = spec.description.input[0].type.imageType.colorSpace
    assert ct.proto.FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(space) == color.upper()
    names = {p.name for node in mil_program.read(package).nodes for p in node.outputs}
    assert ("image__scaled__" in names) == (len(set(std)) == 1)


def test_fp16_begins_behind_the_normalisation(small: ModelDef, made: Made) -> None:
    image, seen = small.spec.image, {}

    def keep(node: mil_program.Node, promise: mil_program.Promise, value: torch.Tensor) -> None:
        seen[promise.name] = (promise.kind, value)

    ramp = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32, 1).repeat(3, 2).astype(np.uint8)
    package, _ = made["fp16"]
    mil_program.read(package).evaluate({"image": torch.from_numpy(ramp.transpose(2, 0, 1).copy())[None]}, keep)
    ((kind, value),) = (v for name, v in seen.items() if name.startswith("camera_mul") and "to_fp16" not in name)
    assert kind == "fp32"
    assert np.abs(value.numpy() - normalise(ramp, image)).max() < 1e-6
    assert sum(kind == "fp16" for kind, _ in seen.values()) > 10


def test_a_model_of_probabilities_keeps_them_beside_the_table(small: ModelDef, tmp_path: Path) -> None:
    model = replace(
        small,
        module=nn.Sequential(small.module, nn.Softmax(-1)).eval(),
        spec=replace(small.spec, output="probabilities"),
    )
    package, converted = make(model, tmp_path, "fp16")
    assert [f.name for f in spec_of(package).description.output] == ["classLabel", "classLabel_probs", "probabilities"]
    assert converted.outputs[0].name == "probabilities"
    got = answers(package, levels(), "probabilities")
    np.testing.assert_allclose(got, wanted(model, levels()), atol=5e-3)


def test_labels_that_are_given_twice_do_not_break_the_table(small: ModelDef, tmp_path: Path) -> None:
    model = replace(small, spec=replace(small.spec, labels=("crane", "dog", "crane", "crane (2)")))
    package, _ = make(model, tmp_path)
    main = spec_of(package).mlProgram.functions["main"]
    classify = main.block_specializations[main.opset].operations[-1]
    values = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    names = [v.immediateValue.tensor.strings.values[0] for v in values]
    assert names == ["crane", "dog", "crane (3)", "crane (2)"]


@given(st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)", "b (2)", ""])))
def test_distinct_labels_are_distinct_and_begin_as_they_were(labels: list[str]) -> None:
    names = coreml_package.distinct(labels)
    assert len(set(names)) == len(names) == len(labels)
    assert all(name.startswith(label) for name, label in zip(names, labels, strict=True))
    assert all(name == label for name, label in zip(names, labels, strict=True) if labels.count(label) == 1)
    for label in set(labels):
        assert names[labels.index(label)] == label


@pytest.mark.parametrize(
    ("device", "precision", "target"),
    [(None, "fp16", "iOS17"), (None, "int4", "iOS18"), ("iphone-16", "fp16", "iOS18"), ("mac-m1", "w8a8", "macOS14"),
     ("iphone-16", "int4", "iOS18"), ("raspberry-pi-5", "fp16", "iOS17")],
)  # fmt: skip
def test_the_target_is_the_devices_or_what_the_precision_needs(
    small: ModelDef, tmp_path: Path, device: str | None, precision: str, target: str
) -> None:
    given_device = load_device(device) if device else None
    job = Job(find_format("coreml"), precision, small.spec, tmp_path, device=given_device)
    assert coreml.deployment_target(job) == target


def test_a_device_that_cannot_read_a_precision_is_told_the_nearest(small: ModelDef, tmp_path: Path) -> None:
    job = Job(find_format("coreml"), "int4", small.spec, tmp_path, device=load_device("iphone-15-pro"))
    with pytest.raises(UnsupportedError, match=r"int4 needs iOS18.*iPhone 15 Pro counts on iOS17.*--precision pal6"):
        coreml.deployment_target(job)
    device = load_device("iphone-15-pro")
    odd = replace(device, minimum=replace(device.minimum, deployment_target="iOS99"))
    with pytest.raises(UnsupportedError, match=r"no deployment target 'iOS99'; it knows .*iOS17"):
        coreml.deployment_target(replace(job, device=odd))


@pytest.mark.parametrize("options", [{"batch": 2, "dynamic": False}, {"batch": 1, "dynamic": True}])
def test_a_batch_is_refused_with_what_an_app_does_instead(
    small: ModelDef, tmp_path: Path, options: dict[str, Any]
) -> None:
    traced = trace("main", small.graphs["main"], "coreml", **options)
    with pytest.raises(UnsupportedError, match=r"one picture.*fromBatch"):
        coreml.convert(traced, Job(find_format("coreml"), "fp16", small.spec, tmp_path))


def test_an_operator_that_coremltools_lacks_is_named(small: ModelDef, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_nets.SmallNet()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = torch.special.i0(self.net(image))
            return answer

    with pytest.raises(
        ConversionError, match=r"Core ML cannot express small: .*torch's '(special_)?i0'.*--format onnx"
    ):
        make(replace(small, module=Odd().eval()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_taught_is_taken_back() -> None:
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as REGISTRY

    before, cast = dict(REGISTRY.name_to_func_mapping), ops._cast
    with more_operators(), more_operators():
        assert REGISTRY.get_func("alias") is not None
        assert ops._cast is not cast
        assert all(REGISTRY.name_to_func_mapping[name] is function for name, function in before.items())
    assert before == REGISTRY.name_to_func_mapping
    assert ops._cast is cast
    with pytest.raises(KeyError), more_operators():
        raise KeyError("a conversion that fails")
    assert ops._cast is cast


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_model_with_one_element_casts_converts_under_numpy_2() -> None:
    """ct.convert of a trace, as coremltools' other users do it: int(np.array([3])) is an error since numpy 2."""

    class Sized(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.reshape(int(torch.tensor([image.shape[0] * 2])), -1)

    with torch.no_grad():
        script = torch.jit.trace(Sized().eval(), torch.zeros(2, 6))  # type: ignore[no-untyped-call]
    with more_operators():
        ct.convert(script, inputs=[ct.TensorType("image", (2, 6))], convert_to="milinternal")


@pytest.fixture
def striking(small: ModelDef) -> PictureSet:
    """Return pictures of which the first is the loudest: where only the last counts, ranges come out too small."""
    loud, calm = levels(1)[0], np.full((32, 32, 3), 124, np.uint8)
    readers: tuple[Callable[[], Array], ...] = (lambda: loud, lambda: calm, lambda: calm)
    return PictureSet("by hand", ("0", "1", "2"), readers)


def test_the_ranges_of_activations_come_from_all_pictures(
    small: ModelDef, tmp_path: Path, striking: PictureSet
) -> None:
    package, _ = make(small, tmp_path / "w8a8", "w8a8", calibration=striking)
    tensor = torch.from_numpy(next(iter(striking.pixels(small.spec.image))).transpose(2, 0, 1).copy())[None]
    peaks = {layer.name: layer.figure for layer in mil_layers.audit(package, [{"image": tensor}]).layers}
    steps = [node for node in mil_program.read(package).nodes if node.operation == "quantize"]
    assert len(steps) >= 3
    for node in steps:
        (source,) = node.makes
        peak = peaks.get(source.removesuffix("_cast_fp16"))
        assert peak is None or 127.5 * float(node.fixed["scale"]) > 0.95 * peak, source
    assert relative(answers(package, levels(1)), wanted(small, levels(1))) < 0.2


def test_ranges_widen_and_never_shrink() -> None:
    ranges: dict[str, Any] = {}
    for low, high in [(-1, 2), (0, 1), (-3, 0.5)]:
        coreml_compress.widen(ranges, "x", low, high)
    assert ranges == {"x": {"rmin": -3, "rmax": 2}}


def test_w8a8_without_pictures_is_refused(small: ModelDef, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="without calibration pictures"):
        make(small, tmp_path, "w8a8")


def test_calibration_gives_coremltools_its_own_step_back(small: ModelDef, tmp_path: Path) -> None:
    from coremltools.optimize.coreml.experimental._model_debugger import ModelDebugger

    own = ModelDebugger.step
    broken = PictureSet("broken", ("0",), (lambda: np.zeros((32, 32, 4), np.uint8),))
    with pytest.raises(EdgevitError):
        make(small, tmp_path, "w8a8", calibration=broken)
    assert ModelDebugger.step is own


@given(st.lists(st.floats(0.01, 2), min_size=3, max_size=3), st.floats(0.01, 2), st.integers(0, 255))
def test_what_the_image_type_does_is_the_normalisation(mean: list[float], std: float, level: int) -> None:
    image = ImageSpec((8, 8), (8, 8), mean=(mean[0], mean[1], mean[2]), std=(std, std, std))
    made = coreml_camera.intake_of(image).numbers(torch.full((1, 3, 8, 8), level, dtype=torch.uint8)).numpy()
    wanted = normalise(np.full((8, 8, 3), level, np.uint8), image)
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4 / std)
    assert coreml_camera.intake_of(image, takes_levels=True) == coreml_camera.Intake()


def test_a_whole_export_is_proven_here_without_a_mac(small: ModelDef, tmp_path: Path) -> None:
    bundle = edgevit.export(small, format="coreml", precision="fp16", out=tmp_path / "b")
    graph = bundle.manifest.graphs["main"]
    assert graph.file == coreml.FILE
    assert graph.proof in ("interpreted", "executed")
    assert bundle.manifest.spec.image.values == "levels"
    assert bundle.manifest.verification["passed"]
    assert {name for name in bundle.manifest.files if name.startswith(coreml.FILE)} == {
        f"{coreml.FILE}/{p.relative_to(bundle.graph_file())}" for p in bundle.graph_file().rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def shapes() -> ModelDef:
    return create_model("shvit_shapes", "shipped")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "most_bytes", "least_accuracy"),
    [("fp32", 2_100_000, 0.96), ("fp16", 1_150_000, 0.96), ("int8", 700_000, 0.96), ("pal6", 600_000, 0.95),
     ("int4", 720_000, 0.95), ("w8a8", 800_000, 0.95)],
)  # fmt: skip
def test_the_shipped_model_keeps_its_accuracy_in_every_precision(
    shapes: ModelDef, tmp_path: Path, precision: str, most_bytes: int, least_accuracy: float
) -> None:
    calibration = quantize.calibration_set(shapes.spec, "coreml", precision, None, trained=True)
    package, _ = make(shapes, tmp_path, precision, calibration=calibration)
    assert sum(p.stat().st_size for p in package.rglob("*") if p.is_file()) < most_bytes
    pictures = built_in(shapes.spec, most=200, split="verification")
    pixels = np.stack(list(pictures.pixels(shapes.spec.image)))
    assert pictures.truth is not None
    right = answers(package, pixels).argmax(1) == np.array(pictures.truth)
    assert right.mean() >= least_accuracy
    traced = trace("main", shapes.graphs["main"], "coreml", batch=1, dynamic=False)
    assert not mil_layers.against_torch(package, traced, shapes.spec, pixels[:4], precision).jumps


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_every_family_converts_and_calls_its_layers_as_torch_does(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = create_model(name, "random")
    package, _ = make(model, tmp_path)
    pixels = np.stack(list(built_in(model.spec, most=4, split="verification").pixels(model.spec.image)))
    assert relative(answers(package, pixels), wanted(model, pixels)) <= 2e-5
    traced = trace("main", model.graphs["main"], "coreml", batch=1, dynamic=False)
    found = mil_layers.against_torch(package, traced, model.spec, pixels[:1], "fp32")
    assert not found.jumps
    assert len(found.layers) > 0.3 * len(mil_program.read(package).nodes)
