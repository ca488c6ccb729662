"""What converters print is caught, kept, and told where it explains a failure."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_nets

from edgevit.errors import ConversionError, InputError, reason
from edgevit.exporters import EXPORTERS, quiet
from edgevit.exporters.metadata import native_metadata
from edgevit.exporters.recipe import Job, Traced
from edgevit.exporters.trace import trace
from edgevit.formats import FORMATS


@pytest.fixture(scope="module")
def traced() -> Traced:
    return trace("main", small_nets.model_def().graphs["main"], "onnx", batch=1, dynamic=False)


@pytest.fixture(autouse=True)
def not_loud() -> Iterator[None]:
    yield
    quiet.set_verbose(False)


def job(folder: Path, format_name: str, precision: str = "fp32") -> Job:
    model = small_nets.model_def()
    metadata = native_metadata(model)
    return Job(FORMATS[format_name], precision, model.spec, folder, model="small", metadata=metadata)


def speak() -> None:
    os.write(2, b"a library's words\n")
    ctypes.CDLL(None).puts(b"C's words")
    warnings.warn("a warning", stacklevel=1)
    logging.getLogger("somebody").error("a record")


def test_everything_is_caught_and_can_be_read_meanwhile_and_later(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet.quiet() as noise:
        speak()
        first = noise.tail()
        os.write(1, b"and more\n")
        assert noise.tail().endswith("and more")
    assert {"a library's words", "C's words"} <= set(first.splitlines())
    assert noise.tail().endswith("and more")
    assert capfd.readouterr() == ("", "")


def test_only_the_last_lines_are_quoted_and_silence_is_nothing() -> None:
    with quiet.quiet() as noise:
        assert noise.quoted() == ""
        os.write(1, b"\n".join(b"line %d" % i for i in range(100)) + b"\n\n")
    assert noise.quoted().splitlines()[-1] == "  line 99"
    assert len(noise.quoted().splitlines()) < 10
    assert "line 0\n" in noise.text


def test_verbose_lets_it_through(capfd: pytest.CaptureFixture[str]) -> None:
    quiet.set_verbose(True)
    with quiet.quiet() as noise:
        os.write(1, b"heard\n")
    assert noise.tail() == ""
    assert capfd.readouterr().out == "heard\n"


def give_up(fault: Exception) -> None:
    with quiet.converting("It gave up", " Try x."):
        os.write(2, b"op 7 is odd\n")
        raise fault


def test_a_foreign_error_is_told_with_its_reason_and_the_last_words() -> None:
    told = r"(?s)^It gave up: bad shape\. Try x\.\n[^\n]*last words:\n  op 7 is odd$"
    with pytest.raises(ConversionError, match=told) as caught:
        give_up(RuntimeError("bad shape\n  at file.cpp:3"))
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one line", "one line"),
        ("\n  first \nsecond", "first"),
        ("", "RuntimeError"),
        ("Exception from src/core.cpp:84:\nNo such layer", "No such layer"),
        (
            "Exception from src/core.cpp:84:\nCheck 'exists(path)' failed at src/frontend.cpp:117:\n"
            "FrontEnd API failed with GeneralFailure:\nir: Could not open the file\n\n",
            "FrontEnd API failed with GeneralFailure: ir: Could not open the file",
        ),
        ("Exception from src/core.cpp:84:", "Exception from src/core.cpp:84:"),
        ("Missing keys:", "Missing keys:"),
    ],
)
def test_a_reason_is_the_line_that_says_what_happened(text: str, told: str) -> None:
    assert reason(RuntimeError(text)) == told


@pytest.mark.parametrize("fault", [InputError("not a picture"), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_our_own_errors_a_full_disk_and_the_user_pass(fault: BaseException) -> None:
    with pytest.raises(type(fault)) as passed, quiet.converting("It gave up"):
        raise fault
    assert passed.value is fault


def broken(*args: Any, **kwargs: Any) -> Any:
    os.write(2, b"the tool's last words\n")
    raise RuntimeError("the tool broke")


@pytest.mark.parametrize(
    ("format_name", "precision", "tool", "name"),
    [
        ("onnx", "fp32", "torch.onnx", "export"),
        ("onnx", "fp32", "onnx.checker", "check_model"),
        ("onnx", "fp32", "onnx", "save"),
        ("onnx", "fp16", "onnxruntime.transformers.float16", "convert_float_to_float16"),
        ("onnx", "int8", "onnxruntime.quantization", "quantize_static"),
        ("openvino", "fp32", "openvino", "convert_model"),
        ("openvino", "fp32", "openvino", "save_model"),
        ("openvino", "fp32", "edgevit.exporters.openvino", "_annotate"),
    ],
)
def test_whatever_part_of_a_converter_breaks_it_is_one_of_our_errors(
    traced: Traced,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format_name: str,
    precision: str,
    tool: str,
    name: str,
) -> None:
    if not tool.startswith("edgevit"):
        pytest.importorskip(tool)
    monkeypatch.setattr(f"{tool}.{name}", broken)
    if precision == "int8":
        monkeypatch.setattr("edgevit.exporters.onnx.CalibrationReader", lambda *args: None)
    with pytest.raises(ConversionError, match=r"(?s)small.*: the tool broke.*the tool's last words"):
        EXPORTERS.load(format_name).convert(traced, job(tmp_path, format_name, precision))


@pytest.mark.parametrize("part", ["annotate", "_shrink"])
def test_litert_too(traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr("edgevit.exporters.litert._convert", lambda *args: None)
    monkeypatch.setattr(f"edgevit.exporters.litert.{part}", broken)
    precision = "fp16" if part == "_shrink" else "fp32"
    with pytest.raises(ConversionError, match=r"(?s)small.*: the tool broke.*the tool's last words"):
        EXPORTERS.load("litert").convert(traced, job(tmp_path, "litert", precision))


def test_tracing_leaves_the_callers_parameters_as_they_were() -> None:
    graph = small_nets.model_def().graphs["main"]
    made = trace("main", graph, "onnx", batch=1, dynamic=False)
    assert all(parameter.requires_grad for parameter in graph.module.parameters())
    assert not any(parameter.requires_grad for parameter in made.module.parameters())
