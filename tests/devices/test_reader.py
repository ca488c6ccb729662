"""A device file with a fault is refused with a sentence that names the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.devices import Device, load_file
from edgevit.devices.reader import read_device
from edgevit.errors import InputError, SpecError

GOOD = """\
name = "My Board"
kind = "board"
year = 2024

[soc]
name = "Chip"

[cpu]
cores = 4
isa = ["armv8-a", "neon"]

[memory]
gib = [0.5, 2]

[[accelerator]]
kind = "gpu"
name = "Blob"

[prefer]
formats = ["litert", "onnx"]
precision = "fp16"
reason = "It is quick."

[minimum]
onnxruntime = "1.16"
opset = 18

[camera]
pixel_formats = ["nv12"]

[[source]]
title = "Data sheet"
url = "https://example.org/sheet"
for = "everything"
"""


def test_a_good_file_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my-board.toml"
    path.write_text(GOOD, encoding="utf-8")
    device = load_file(path)
    assert (device.slug, device.name, device.memory_gib) == ("my-board", "My Board", (0.5, 2))
    assert device.to_dict() == {
        "slug": "my-board",
        "name": "My Board",
        "kind": "board",
        "year": 2024,
        "soc": {"name": "Chip"},
        "cpu": {"cores": 4, "isa": ["armv8-a", "neon"]},
        "memory_gib": [0.5, 2],
        "accelerators": [{"kind": "gpu", "name": "Blob"}],
        "prefer": {"formats": ["litert", "onnx"], "precision": "fp16", "reason": "It is quick."},
        "minimum": {"onnxruntime": "1.16", "opset": 18},
        "pixel_formats": ["nv12"],
        "sources": [{"title": "Data sheet", "url": "https://example.org/sheet", "backs": "everything"}],
    }


def test_the_smallest_file_has_three_keys() -> None:
    text = 'name = "A"\nkind = "pc"\n[prefer]\nformats = ["onnx"]\nprecision = "fp32"\nreason = "Why not."\n'
    device = read_device(text.encode(), "a", "a.toml")
    assert device.minimum.opset is None
    assert set(device.to_dict()) == {"slug", "name", "kind", "prefer"}


FAULTS = {
    "unknown kind": ('kind = "board"', 'kind = "toaster"', ["'kind'", "phone, tablet", "'toaster'"]),
    "missing name": ('name = "My Board"\n', "", ["'name'", "missing"]),
    "missing kind": ('kind = "board"\n', "", ["'kind'", "missing"]),
    "missing formats": ('formats = ["litert", "onnx"]\n', "", ["'prefer.formats'", "missing"]),
    "missing reason": ('reason = "It is quick."\n', "", ["'prefer.reason'", "missing"]),
    "missing source address": ('url = "https://example.org/sheet"\n', "", ["'source[0].url'", "missing"]),
    "missing chip name": ('name = "Chip"', 'maker = "X"', ["'soc.name'", "missing"]),
    "misspelled key": ("opset = 18", "opsett = 18", ["'minimum.opsett'", "Did you mean 'opset'"]),
    "key in the wrong table": ("cores = 4", "cores = 4\ngib = [4]", ["'cpu.gib'", "cores, clusters, isa"]),
    "unknown table": ("[camera]", "[kamera]", ["'kamera'", "Did you mean 'camera'"]),
    "table for text": ('name = "My Board"', "name = {a = 1}", ["'name'", "text", "{'a': 1}"]),
    "empty text": ('reason = "It is quick."', 'reason = " "', ["'prefer.reason'", "not empty"]),
    "text for a number": ("cores = 4", 'cores = "4"', ["'cpu.cores'", "whole number", "'4'"]),
    "truth for a number": ("cores = 4", "cores = true", ["'cpu.cores'", "whole number", "True"]),
    "no cores": ("cores = 4", "cores = 0", ["'cpu.cores'", "1 to 1024"]),
    "broken year": ("year = 2024", "year = 2024.5", ["'year'", "2024.5"]),
    "opset too new": ("opset = 18", "opset = 26", ["'minimum.opset'", "9 to 25", "26"]),
    "opset too old": ("opset = 18", "opset = 8", ["'minimum.opset'", "9 to 25"]),
    "version as number": ('onnxruntime = "1.16"', "onnxruntime = 1.16", ["'minimum.onnxruntime'", "text"]),
    "version with words": ('"1.16"', '"1.16 or so"', ["'minimum.onnxruntime'", "version"]),
    "wrong deployment target": ("opset = 18", 'deployment_target = "ios17"', ["'minimum.deployment_target'", "iOS17"]),
    "unknown format": ('["litert", "onnx"]', '["tflite"]', ["'prefer.formats'", "'tflite'", "coreml, litert"]),
    "repeated format": ('["litert", "onnx"]', '["onnx", "onnx"]', ["'prefer.formats'", "repeats"]),
    "no formats": ('["litert", "onnx"]', "[]", ["'prefer.formats'", "not empty"]),
    "text for a list": ('["litert", "onnx"]', '"onnx"', ["'prefer.formats'", "list"]),
    "number in a list": ('["nv12"]', "[12]", ["'camera.pixel_formats'", "list of texts"]),
    "list in a list": ('["nv12"]', '[["nv12"]]', ["'camera.pixel_formats'", "list of texts"]),
    "unknown precision": ('precision = "fp16"', 'precision = "int4"', ["'prefer.precision'", "fp32, fp16, int8"]),
    "unknown instruction set": ('"neon"', '"mmx"', ["'cpu.isa'", "'mmx'"]),
    "memory below zero": ("[0.5, 2]", "[-1]", ["'memory.gib'", "above zero"]),
    "memory without end": ("[0.5, 2]", "[inf]", ["'memory.gib'", "above zero"]),
    "memory not a number": ("[0.5, 2]", "[nan]", ["'memory.gib'", "above zero"]),
    "memory falling": ("[0.5, 2]", "[2, 0.5]", ["'memory.gib'", "rising"]),
    "one number for memory": ("[0.5, 2]", "2", ["'memory.gib'", "list of numbers"]),
    "one accelerator table": ("[[accelerator]]", "[accelerator]", ["'accelerator'", "[[accelerator]]"]),
    "insecure source": ("https://example", "http://example", ["'source[0].url'", "https"]),
    "source without host": ("https://example.org/sheet", "https://", ["'source[0].url'", "https"]),
    "not TOML": ("year = 2024", "year = = 2024", ["not valid TOML", "line 3"]),
    "number too long for Python": ("year = 2024", f"year = {'9' * 5000}", ["bad.toml"]),
    "nest too deep for Python": ("year = 2024", f"year = {'[' * 9000}", ["not valid TOML"]),
    "repeated key": ("year = 2024", "year = 2024\nyear = 2025", ["not valid TOML"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, tmp_path: Path) -> None:
    old, new, expected = FAULTS[fault]
    assert old in GOOD
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_file(path)
    for words in [str(path), *expected]:
        assert words in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_plain_value_where_a_table_belongs_is_named() -> None:
    text = GOOD.replace('[soc]\nname = "Chip"\n', "").replace("year = 2024", "year = 2024\nsoc = 5")
    with pytest.raises(SpecError, match=r"x\.toml: \[soc\] must be a table, not 5"):
        read_device(text.encode(), "x", "x.toml")


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(SpecError, match=r"x\.toml: byte 4 is not UTF-8"):
        read_device(b'a = \xff"', "x", "x.toml")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_an_input_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read.*edgevit devices"):
        load_file(tmp_path / name)


LITERALS = st.sampled_from(
    [
        '""',
        '"x"',
        "0",
        "-1",
        "18",
        "1.5",
        "nan",
        "inf",
        "true",
        "[]",
        "[1]",
        '["x"]',
        "[[]]",
        "{}",
        "{x=1}",
        "1979-05-27",
    ]
)


@given(line=st.integers(0, GOOD.count("\n") - 1), literal=LITERALS)
def test_any_value_anywhere_is_a_device_or_a_spec_error(line: int, literal: str) -> None:
    lines = GOOD.splitlines()
    key, equals, _ = lines[line].partition(" = ")
    lines[line] = f"{key} = {literal}" if equals else f"strange = {literal}"
    _device_or_spec_error("\n".join(lines).encode())


@given(end=st.integers(0, len(GOOD)), tail=st.binary(max_size=4))
def test_a_file_cut_anywhere_is_a_device_or_a_spec_error(end: int, tail: bytes) -> None:
    _device_or_spec_error(GOOD.encode()[:end] + tail)


def _device_or_spec_error(content: bytes) -> None:
    fault: SpecError | None = None
    device: Device | None = None
    try:
        device = read_device(content, "x", "x.toml")
    except SpecError as exc:
        fault = exc
    assert (device and device.prefer.formats) or str(fault).startswith("x.toml: ")
