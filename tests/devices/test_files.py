"""Every shipped device file loads and agrees with itself, with the formats table and with what the runtimes read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgevit import formats
from edgevit.devices import Device, list_devices, load_device
from edgevit.devices import device as facts

FOLDER = Path(__file__).parents[2] / "devices"
SLUGS = sorted(path.stem for path in FOLDER.glob("*.toml"))
PHYSICAL = [slug for slug in SLUGS if slug not in ("host", "browser", "x86-64")]

# The newest opset that a version reads, from the compatibility pages of ONNX Runtime and ONNX-TensorRT.
OPSET_OF_ONNXRUNTIME: dict[tuple[int, ...], int] = {(1, 16): 19, (1, 17): 20}
OPSET_OF_TENSORRT: dict[tuple[int, ...], int] = {(8, 2): 13, (8, 5): 17, (10, 0): 20, (10, 3): 20}

PROMISED = {
    *("iphone-12", "iphone-13", "iphone-14", "iphone-15", "iphone-15-pro", "iphone-16"),
    *("iphone-16-pro", "ipad-air-m2", "mac-m1", "mac-m3", "pixel-6", "pixel-7"),
    *("pixel-8", "pixel-9", "galaxy-s22", "galaxy-s23", "galaxy-s24", "galaxy-s25"),
    *("galaxy-a54", "jetson-nano", "jetson-xavier-nx", "jetson-agx-xavier", "jetson-orin-nano", "jetson-orin-nx"),
    *("jetson-agx-orin", "jetson-thor", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w", "rk3588"),
    *("intel-n100", "intel-core-ultra", "x86-64", "browser", "host"),
}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_the_promised_devices_are_there() -> None:
    assert set(SLUGS) >= PROMISED
    assert [device.slug for device in list_devices()] == SLUGS


def test_no_two_names_are_spelled_alike() -> None:
    assert len({_squeezed(slug) for slug in SLUGS}) == len(SLUGS)


def test_the_words_for_formats_and_precisions_are_those_of_the_formats_table() -> None:
    assert set(formats.FORMATS) <= set(facts.FORMATS)
    assert set(facts.PRECISIONS) <= set(formats.PRECISIONS)


@pytest.mark.parametrize("slug", SLUGS)
class TestEveryFile:
    def test_the_name_means_the_file(self, slug: str) -> None:
        device = load_device(slug)
        assert device.slug == slug
        assert load_device(device.name) == device

    def test_something_that_edgevit_writes_is_among_the_formats(self, slug: str) -> None:
        device = load_device(slug)
        assert device.choose_format(formats.FORMATS) in formats.FORMATS

    def test_the_reason_is_one_sentence(self, slug: str) -> None:
        reason = load_device(slug).prefer.reason
        assert reason.endswith(".")
        assert ". " not in reason
        assert len(reason.split()) >= 8

    def test_the_runtimes_it_counts_on_read_its_opset(self, slug: str) -> None:
        minimum = load_device(slug).minimum
        assert minimum.opset is not None, "every device takes ONNX in some way"
        assert minimum.onnxruntime or minimum.tensorrt
        if minimum.onnxruntime:
            assert minimum.opset <= OPSET_OF_ONNXRUNTIME[_version(minimum.onnxruntime)]
        if minimum.tensorrt:
            assert minimum.opset <= OPSET_OF_TENSORRT[_version(minimum.tensorrt)]

    def test_no_runtime_is_older_than_what_the_exporters_write_for(self, slug: str) -> None:
        minimum = load_device(slug).minimum
        for engine in ("onnxruntime", "litert", "openvino"):
            stated = getattr(minimum, engine)
            name = "onnx" if engine == "onnxruntime" else engine
            if stated:
                assert _version(stated) >= _version(formats.FORMATS[name].engine_minimum)

    def test_every_preferred_format_has_its_runtime_version(self, slug: str) -> None:
        device = load_device(slug)
        for name in ("litert", "openvino", "tensorrt"):
            assert (name in device.prefer.formats) == (getattr(device.minimum, name) is not None)

    def test_core_ml_and_its_deployment_target_go_together(self, slug: str) -> None:
        device = load_device(slug)
        assert ("coreml" in device.prefer.formats) == (device.minimum.deployment_target is not None)
        if device.minimum.deployment_target:
            number = re.sub(r"\D", "", device.minimum.deployment_target)
            assert device.minimum.os is not None
            assert device.minimum.os.endswith(f" {number}")

    def test_it_can_be_printed_as_json_without_empty_facts(self, slug: str) -> None:
        data = load_device(slug).to_dict()
        assert json.loads(json.dumps(data)) == data
        assert "null" not in json.dumps(data)
        assert data["slug"] == slug

    def test_its_facts_have_sources(self, slug: str) -> None:
        device = load_device(slug)
        if slug == "host":
            assert not device.sources
            return
        assert device.sources
        assert len({source.url for source in device.sources}) == len(device.sources)
        backed = " ".join(source.backs for source in device.sources)
        assert "opset" in backed
        if device.pixel_formats:
            assert "camera" in backed
        if device.cpu and slug not in ("browser", "x86-64"):
            assert "instruction sets" in backed


@pytest.mark.parametrize("slug", PHYSICAL)
class TestEveryPhysicalDevice:
    def test_the_main_facts_are_known(self, slug: str) -> None:
        device = load_device(slug)
        assert device.year is not None
        assert device.soc is not None
        assert device.cpu is not None
        assert device.cpu.isa
        assert device.cpu.clusters
        assert device.accelerators
        assert device.pixel_formats

    def test_the_clusters_add_up_to_the_cores(self, slug: str) -> None:
        cpu = load_device(slug).cpu
        assert cpu is not None
        if cpu.cores is not None:
            assert sum(int(cluster.split()[0]) for cluster in cpu.clusters) == cpu.cores

    def test_the_instruction_sets_are_of_one_architecture(self, slug: str) -> None:
        cpu = load_device(slug).cpu
        assert cpu is not None
        assert ("neon" in cpu.isa) != ("x86-64" in cpu.isa)
        if "sve2" in cpu.isa:
            assert "sve" in cpu.isa
        if "armv9-a" in cpu.isa or "i8mm" in cpu.isa:
            assert {"fp16", "dotprod"} <= set(cpu.isa)


def _jetsons() -> list[Device]:
    return [device for device in list_devices() if device.kind == "jetson"]


def test_jetsons_without_a_new_enough_python_name_trtexec() -> None:
    for device in _jetsons():
        assert device.minimum.jetpack is not None
        old = _version(device.minimum.jetpack) < (6,)
        assert any("trtexec" in note for note in device.notes) == old
        assert (device.minimum.onnxruntime is None) == old


def test_host_has_no_facts_in_its_file() -> None:
    text = (FOLDER / "host.toml").read_text(encoding="utf-8")
    assert re.findall(r"^\[+(\w+)", text, re.MULTILINE) == ["prefer", "minimum"]
