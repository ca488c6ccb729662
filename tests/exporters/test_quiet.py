"""What converters print is caught, kept, and told where it explains a failure."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_nets

from edgevit.errors import ConversionError, InputError, MissingDependencyError, reason
from edgevit.exporters import EXPORTERS, quiet
from edgevit.exporters.coreml_compress import compress
from edgevit.exporters.metadata import native_metadata
from edgevit.exporters.onnx import fold
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
        first = noise.text
        os.write(1, b"and more\n")
        assert noise.last_line() == "and more"
    assert {"a library's words", "C's words"} <= set(first.splitlines())
    assert noise.last_line() == "and more"
    assert capfd.readouterr() == ("", "")


def test_the_last_line_that_says_something_is_at_hand_and_silence_is_nothing() -> None:
    with quiet.quiet() as noise:
        assert noise.last_line() == ""
        os.write(1, b"\n".join(b"line %d" % i for i in range(100)) + b"\n \n")
    assert noise.last_line() == "line 99"
    assert "line 0\n" in noise.text


def test_verbose_lets_it_through(capfd: pytest.CaptureFixture[str]) -> None:
    quiet.set_verbose(True)
    with quiet.quiet() as noise:
        os.write(1, b"heard\n")
    assert noise.text == ""
    assert capfd.readouterr().out == "heard\n"


def give_up(fault: Exception) -> None:
    with quiet.converting("It gave up", "Try x"):
        os.write(2, b"op 7 is odd\n")
        raise fault


@pytest.mark.parametrize(
    ("text", "told"), [("bad shape.\n  at file.cpp:3", "bad shape"), ("", "op 7 is odd"), ("x" * 999, "x" * 300)]
)
def test_a_foreign_error_is_one_sentence_with_what_to_type_instead_and_no_noise(text: str, told: str) -> None:
    with pytest.raises(ConversionError) as caught:
        give_up(RuntimeError(text))
    assert str(caught.value) == f"It gave up: {told}. Try x, or --verbose for the whole story."
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


@pytest.mark.parametrize(
    "fault", [InputError("not a picture"), OSError(errno.ENOSPC, "full"), MemoryError(), KeyboardInterrupt()]
)
def test_our_own_errors_a_full_disk_no_memory_and_the_user_pass(fault: BaseException) -> None:
    with pytest.raises(type(fault)) as passed, quiet.converting("It gave up", "Try x"):
        raise fault
    assert passed.value is fault


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[Errno 28] No space left on device: 'm.bin'", OSError),
        ("write: Disk quota exceeded", OSError),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes", MemoryError),
        ("std::bad_alloc", MemoryError),
    ],
)
def test_a_full_disk_and_no_memory_pass_where_a_tool_tells_them_in_words_or_wraps_them(
    text: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as told:
        give_up(RuntimeError(text))
    if isinstance(told.value, OSError):
        assert told.value.errno in (errno.ENOSPC, errno.EDQUOT)
    inner = OSError(errno.EDQUOT, "quota") if kind is OSError else MemoryError()
    wrapped = RuntimeError("the pass 'X' failed")
    wrapped.__cause__ = inner
    with pytest.raises(kind) as passed:
        give_up(wrapped)
    assert passed.value is inner


ONE_SENTENCE = r"^[^\n]*small.*: the tool broke\. Try (--|without --)[^\n]*, or --verbose for the whole story\.$"
"""The reason, the nearest thing that works, and how to see the rest; nothing of what the tool printed."""


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
        ("tensorrt", "fp32", "edgevit.exporters.onnx", "stamp"),
        ("tensorrt", "fp16", "edgevit.exporters.tensorrt", "_type"),
        ("tensorrt", "int8", "onnxruntime.quantization", "quantize_static"),
        ("executorch", "fp32", "edgevit.exporters.executorch", "suited"),
        ("executorch", "fp32", "edgevit.exporters.executorch", "_lowered"),
        ("executorch", "int8", "edgevit.exporters.executorch", "_quantised"),
        ("litert", "fp32", "litert_torch", "convert"),
        ("coreml", "fp32", "edgevit.exporters.coreml", "camera_program"),
        ("coreml", "fp32", "edgevit.exporters.coreml", "save"),
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
        monkeypatch.setattr("edgevit.exporters.executorch._calibration", lambda *args: None, raising=False)
    with pytest.raises(ConversionError, match=ONE_SENTENCE):
        EXPORTERS.load(format_name).convert(traced, job(tmp_path, format_name, precision))


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), MemoryError("no memory")])
@pytest.mark.parametrize(
    ("format_name", "tool"),
    [
        ("onnx", "torch.onnx.export"),
        ("openvino", "openvino.save_model"),
        ("tensorrt", "onnx.save"),
        ("litert", "litert_torch.convert"),
        ("executorch", "edgevit.exporters.executorch._lowered"),
        ("coreml", "edgevit.exporters.coreml.save"),
    ],
)
def test_a_full_disk_and_no_memory_are_not_taken_for_a_model_that_cannot_be_expressed(
    traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str, tool: str, fault: Exception
) -> None:
    pytest.importorskip(tool.rpartition(".")[0])

    def full(*args: Any, **kwargs: Any) -> Any:
        raise fault

    monkeypatch.setattr(tool, full)
    with pytest.raises(type(fault)) as passed:
        EXPORTERS.load(format_name).convert(traced, job(tmp_path, format_name))
    assert passed.value is fault


def test_openvinos_iostream_error_is_asked_of_the_disk(
    traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    Path(tmp_path, "room").symlink_to("/dev/full")  # the rest of the disk

    def full(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("basic_ios::clear: iostream error")  # its own words on a full disk

    monkeypatch.setattr("openvino.save_model", full)
    with pytest.raises(OSError, match="No space left") as passed:
        EXPORTERS.load("openvino").convert(traced, job(tmp_path, "openvino"))
    assert passed.value.errno == errno.ENOSPC


def test_onnx_runtimes_writer_is_not_let_near_a_full_disk(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(b"never read")
    Path(tmp_path, "room").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fold(tmp_path / "model.onnx")


def test_litert_is_not_let_near_a_full_disk(traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converter = pytest.importorskip("litert_torch")
    Path(tmp_path, "room").symlink_to("/dev/full")

    class Made:
        def export(self, path: str) -> None:
            raise AssertionError("its writer ends the process on a full disk")

    monkeypatch.setattr(converter, "convert", lambda *args, **kwargs: Made())
    with pytest.raises(OSError, match="No space left") as passed:
        EXPORTERS.load("litert").convert(traced, job(tmp_path, "litert"))
    assert passed.value.errno == errno.ENOSPC


@pytest.mark.parametrize("part", ["annotate", "_shrink"])
def test_litert_too(traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr("edgevit.exporters.litert._convert", lambda *args: None)
    monkeypatch.setattr(f"edgevit.exporters.litert.{part}", broken)
    precision = "fp16" if part == "_shrink" else "fp32"
    with pytest.raises(ConversionError, match=ONE_SENTENCE):
        EXPORTERS.load("litert").convert(traced, job(tmp_path, "litert", precision))


def test_tracing_leaves_the_callers_parameters_as_they_were() -> None:
    graph = small_nets.model_def().graphs["main"]
    made = trace("main", graph, "onnx", batch=1, dynamic=False)
    assert all(parameter.requires_grad for parameter in graph.module.parameters())
    assert not any(parameter.requires_grad for parameter in made.module.parameters())


def test_palettes_without_scikit_learn_get_its_pip_line(
    traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match=r"'scikit-learn'.*pip install 'edgevit\[export\]'"):
        compress(None, traced, job(tmp_path, "coreml", "pal6"))
