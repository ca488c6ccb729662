"""The matrix: its plan, its store, its processes that may die alone, and what ships of it."""

from __future__ import annotations

import ast
import ctypes
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_nets
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit import proven
from edgevit.cli import main
from edgevit.errors import (
    ConversionError,
    EngineError,
    EnvironmentFault,
    InputError,
    MissingDependencyError,
    RefusedError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgevit.exporters import base, placement, quantize, verify
from edgevit.exporters.matrix import cell as cells_module
from edgevit.exporters.matrix import order, ship, sources, speed, store, worker
from edgevit.exporters.matrix import run as run_module
from edgevit.exporters.matrix.child import Child, Limits, Tell, resident_bytes
from edgevit.exporters.matrix.models import entries
from edgevit.exporters.matrix.order import matrix
from edgevit.exporters.matrix.page import page
from edgevit.exporters.matrix.plan import Key, by_model, checkable, plan, rotated
from edgevit.exporters.matrix.reasons import blamed_op, last_words, sentence
from edgevit.exporters.matrix.store import Store, read_lines
from edgevit.exporters.reference import Reference
from edgevit.formats import FORMATS
from edgevit.models import ModelDef
from edgevit.proven import Cell, Proven
from edgevit.reading import Table
from edgevit.registry import MODELS, list_models

Capture = pytest.CaptureFixture[str]

PATIENT = Limits(timeout_s=60.0)


# The plan


def test_the_table_has_the_families_whole_and_24_further_models() -> None:
    names = {entry.name for entry in entries()}
    assert set(list_models("classify")) - names == {"levit_384", "levit_conv_384"}  # trackers are proven on clips
    assert sum(name.startswith("timm/") for name in names) == 24
    assert len(entries()) == len(names) >= 48
    cells = plan()
    assert len(set(cells)) == len(cells)
    assert {(m, f, p) for m in names for f in FORMATS for p in ("fp32", "fp16")} <= set(cells)
    families = {entry.family for entry in entries() if entry.name in MODELS}
    eight = {(m, f) for m, f, p in cells if p == "int8"}
    assert len(eight) == len(families) * len(FORMATS)


@pytest.mark.slow
def test_every_model_of_the_table_exists_and_is_small() -> None:
    import timm
    import torch

    for entry in entries():
        if entry.family == "shapes":
            continue
        with torch.device("meta"):
            net = timm.create_model(entry.name.removeprefix("timm/"))
        millions = sum(p.numel() for p in net.parameters()) / 1e6
        assert millions < 30
        assert math.isclose(millions, entry.millions, abs_tol=0.11), entry


def test_a_run_cut_short_has_seen_every_family_and_format() -> None:
    works = by_model(plan())
    families = {entry.family for entry in entries()}
    first = {work.model for work in works[: len(families)]}
    assert {entry.family for entry in entries() if entry.name in first} == families
    assert all({name for name, _ in work.cells} == set(FORMATS) for work in works)


def test_the_plan_takes_patterns_aliases_and_names_outside_the_list() -> None:
    assert plan(["levit_12*"], ["ort", "tflite"], ["fp32"]) == (
        ("levit_128s", "onnx", "fp32"),
        ("levit_128s", "litert", "fp32"),
        ("levit_128", "onnx", "fp32"),
        ("levit_128", "litert", "fp32"),
    )
    assert plan(["timm/resnet18", "levit_384"], ["coreml"], ["pal6", "fp32"]) == (
        ("timm/resnet18", "coreml", "pal6"),
        ("timm/resnet18", "coreml", "fp32"),
        ("levit_384", "coreml", "pal6"),
        ("levit_384", "coreml", "fp32"),
    )
    assert {f for _, f, _ in plan(["levit_192"], ["onnx", "coreml"], ["w8a8"])} == {"coreml"}


@pytest.mark.parametrize(
    ("words", "fault", "sentence"),
    [
        ((["levit_129"],), UnknownNameError, "Did you mean levit_192 or levit_128"),
        ((["resnet*"],), UnknownNameError, "no model of the matrix"),
        (([], ["onx"]), UnknownNameError, "Did you mean onnx"),
        (([], [], ["fp61"]), UnknownNameError, "Did you mean fp16"),
        (([], ["onnx"], ["pal6"]), UnsupportedError, "onnx have no precision 'pal6'"),
    ],
)
def test_what_the_plan_does_not_know_is_answered(words: Any, fault: type[Exception], sentence: str) -> None:
    with pytest.raises(fault, match=sentence):
        plan(*words)


@given(st.integers(1, 60), st.integers(1, 25), st.integers(0, 10_000))
def test_as_many_turns_as_it_takes_see_every_cell(size: int, count: int, start: int) -> None:
    cells: list[Key] = [(f"m{n}", "onnx", "fp32") for n in range(size)]
    turns = [rotated(cells, count, start + n) for n in range(2 * math.ceil(size / count) + size)]
    assert {key for turn in turns for key in turn} == set(cells)
    assert all(len(set(turn)) == len(turn) == min(count, size) for turn in turns)
    assert rotated(cells, count, None) == tuple(cells[:count])


def test_only_what_ships_as_proven_and_is_quick_can_be_checked() -> None:
    cells = [Cell("a", "onnx", "fp32", "proven", seconds=5.0), Cell("b", "onnx", "fp32", "refused", seconds=5.0)]
    cells += [Cell("c", "onnx", "fp32", "proven", seconds=500.0)]
    keys = [cell.key for cell in cells]
    assert checkable(keys, cells) == (keys[0],)
    with pytest.raises(UsageError, match="nothing to check"):
        checkable(keys[1:], cells)


# The store

ONE = Cell("m", "onnx", "fp32", "proven", relative=1e-6, placement=({"unit": "CPU", "places": {"CPU": 3}},))
TWO = Cell("m", "onnx", "fp16", "refused", reason="relative 0.1, limit 0.01")


def test_the_store_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cells.jsonl"
    with Store(path, "a Pi") as kept:
        kept.add(ONE)
        kept.add(TWO)
        assert kept.finished(ONE.key) == ONE
    with Store(path, "a Pi") as kept:
        assert kept.cells == (ONE, TWO)
        assert kept.finished(TWO.key) == TWO
        assert kept.finished(("m", "onnx", "int8")) is None
        better = Cell("m", "onnx", "fp16", "proven")
        kept.add(better)
    assert [line.cell for line in read_lines(path)] == [ONE, better]
    assert {line.machine for line in read_lines(path)} == {"a Pi"}


@settings(max_examples=12, deadline=None)  # every line is on the disk before the next one, which takes its time
@given(cut=st.integers(1, 60))
def test_what_a_killed_run_left_of_its_last_line_is_cut_off(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("store") / "cells.jsonl"
    with Store(path, "") as kept:
        kept.add(ONE)
        kept.add(TWO)
    path.write_bytes(path.read_bytes()[:-cut])
    assert [line.cell for line in read_lines(path)] == [ONE]
    with Store(path, "") as kept:
        assert kept.cells == (ONE,)
        kept.add(TWO)
    assert [line.cell for line in read_lines(path)] == [ONE, TWO]


def test_other_tools_make_a_cell_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "c", "") as kept:
        kept.add(ONE)
        kept.add(Cell("m", "coreml", "fp32", "proven"))
        monkeypatch.setattr(store, "versions", lambda *names: {n: "2" if n == "onnx" else "1" for n in names})
        assert kept.finished(ONE.key) is None
        kept.add(ONE)
        assert kept.finished(ONE.key) == ONE


def test_what_was_not_run_is_never_finished(tmp_path: Path) -> None:
    absent = Cell("m", "onnx", "fp32", "not run")
    with Store(tmp_path / "c", "") as kept:
        kept.add(absent)
        assert kept.finished(absent.key) is None


def copied(tmp_path: Path) -> Path:
    """Copy the code that counts to a root of its own."""
    for name in FORMATS:
        for file, path in sources.files_of(name):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("file", "anew"),
    [
        ("exporters/litert.py", {"litert"}),
        ("exporters/mil_ops.py", {"coreml"}),
        ("exporters/onnx_typing.py", {"onnx", "tensorrt"}),
        ("exporters/placement/executorch.py", {"executorch"}),
        ("exporters/trace.py", set(FORMATS)),
        ("kernels/rewrites/levit.py", set(FORMATS)),
        ("exporters/command.py", set()),
    ],
)
def test_a_change_of_an_exporter_makes_its_own_cells_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, anew: set[str]
) -> None:
    root = copied(tmp_path)
    monkeypatch.setattr(store, "code_of", partial(sources.code_of, root=root))
    cells = [Cell("m", name, "fp32", "proven") for name in FORMATS]
    with Store(tmp_path / "c", "") as kept:
        for cell in cells:
            kept.add(cell)
        with (root / file).open("a") as changed:
            changed.write("\nMORE = 1\n")
        kept.add(cells[0])  # made by what was loaded before the change
    with Store(tmp_path / "c", "") as kept:
        assert {cell.format for cell in cells if kept.finished(cell.key) is None} == anew


def test_a_digest_is_the_same_in_every_checkout(tmp_path: Path) -> None:
    root = copied(tmp_path)
    assert all(sources.code_of(name, root) == sources.code_of(name) for name in FORMATS)
    assert len({sources.code_of(name) for name in FORMATS}) == len(FORMATS)
    (root / "exporters" / "trace.py").rename(root / "exporters" / "half_traced.py")
    assert sources.code_of("onnx", root) != sources.code_of("onnx")
    with pytest.raises(InputError, match="holds no code of edgevit"):
        sources.code_of("onnx", tmp_path / "absent")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('"""Doc."""\n\nX = 1  # why\n"""What X is,\nin two lines."""\n', "X = 1\n"),
        ('class Fault(Exception): """Doc."""\n', "class Fault(Exception):\n"),
        ("def f():\n    # why\n\n    return '# no comment'\n", "def f():\n    return '# no comment'\n"),
        ('é = """kept\n\n# kept"""  # ü\n', 'é = """kept\n# kept"""\n'),
        ("'ü'; x = 2  # last", "; x = 2\n"),
    ],
)
def test_a_digest_does_not_see_what_is_said_of_the_code(said: str, code: str) -> None:
    assert sources.code_alone(said) == code


def test_a_digest_covers_what_a_format_s_own_files_import() -> None:
    told = {
        "quiet",
        "recipe",
        "versions",
        "pictures",
        "metadata",
        "rows",
        "protobuf",
        "room",
    }  # say nothing about a file
    told |= {"coreml", "coreml_ops"}  # ExecuTorch's Core ML delegate; the table is made for XNNPACK
    told |= {"trackers.exact"}  # what stays in float in a tracker's int8; the table has no tracker
    for name in FORMATS:
        files = dict(sources.files_of(name))
        stems = {Path(file).stem for file in files}
        for path in files.values():
            nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
            named = {part for n in nodes for part in ([n.module] if n.module else [a.name for a in n.names])}
            assert named <= stems | told, path


def test_shipped_weights_are_part_of_what_a_cell_depends_on() -> None:
    assert "weights" in store.tools_of("onnx", "shvit_shapes")
    assert "weights" not in store.tools_of("onnx", "levit_128s")
    assert all({"edgevit", "torch", "timm"} <= set(store.tools_of(name, "m")) for name in FORMATS)


def test_two_runs_cannot_share_a_store(tmp_path: Path) -> None:
    with Store(tmp_path / "c", ""), pytest.raises(EnvironmentFault, match="in use by another run"):
        Store(tmp_path / "c", "")
    Store(tmp_path / "c", "").__exit__()


def test_another_file_is_not_taken_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping: milk\n")
    with pytest.raises(InputError, match=r"notes.txt, line 1: .* no file of edgevit matrix"):
        Store(path, "")
    assert path.read_text() == "shopping: milk\n"
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "absent")


# Children


def ends(work: Callable[[Tell], None], limits: Limits = PATIENT) -> tuple[list[dict[str, Any]], Child]:
    child = Child(work, limits, parent=os.getppid())
    return list(child.messages(fresh=lambda m: True)), child


def test_a_child_tells_and_ends() -> None:
    def work(tell: Tell) -> None:
        for number in range(3):
            tell({"number": number, "long": "x" * 100_000})

    heard, child = ends(work)
    assert [m["number"] for m in heard] == [0, 1, 2]
    assert child.ending is None


def test_what_a_child_prints_reaches_nobody(capfd: Capture) -> None:
    def shout(tell: Tell) -> None:
        os.write(1, b"loud")
        os.write(2, b"louder")

    ends(shout)
    assert capfd.readouterr() == ("", "")


def segfault(tell: Tell) -> None:
    tell({"step": "convert"})
    ctypes.string_at(0)


def hang(tell: Tell) -> None:
    tell({"step": "convert"})
    time.sleep(600)


def swell(tell: Tell) -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 8)


def stumble(tell: Tell) -> None:
    raise ValueError("no such luck")


def abort(tell: Tell) -> None:
    os.write(2, b"libsomething: assertion failed: rank < 5\n")
    os.abort()


@pytest.mark.parametrize(
    ("work", "verdict", "words"),
    [
        (segfault, "crashed", "died of SIGSEGV"),
        (abort, "crashed", "died of SIGABRT: libsomething: assertion failed: rank < 5"),
        (stumble, "crashed", "ended with code 1: ValueError: no such luck"),
        (partial(os._exit, 3), "crashed", "ended with code 3"),
    ],
)
def test_a_child_that_dies_has_its_last_words_heard(work: Any, verdict: str, words: str) -> None:
    _, child = ends((lambda tell: work()) if isinstance(work, partial) else work)
    assert child.ending is not None
    assert child.ending.verdict == verdict
    assert words in child.ending.reason


def test_a_child_that_hangs_is_ended() -> None:
    heard, child = ends(hang, Limits(timeout_s=0.5))
    assert heard == [{"step": "convert"}]
    assert child.ending is not None
    assert child.ending.verdict == "timeout"
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_swells_is_ended() -> None:
    most = resident_bytes(os.getpid()) + (200 << 20)
    _, child = ends(swell, Limits(60.0, most))
    assert child.ending is not None
    assert child.ending.verdict == "memory"
    assert "the limit is" in child.ending.reason


def test_nobody_is_left_when_the_one_who_ordered_is_gone(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        child = Child(hang, PATIENT, parent=-1)  # as if another process had adopted this one
        (tmp_path / "child").write_text(str(child.pid))
        list(child.messages(fresh=lambda m: True))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "child").read_text()), 0)


def test_the_memory_of_a_process_that_is_gone_is_nothing() -> None:
    assert resident_bytes(os.getpid()) > 10 << 20
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert resident_bytes(pid) == 0


# The worker: which cells are tried again, and which go on


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> cells_module.Remembering:
    found = cells_module.Remembering(small_nets.model_def())
    monkeypatch.setattr(worker, "create_model", lambda name, weights: found.model)
    monkeypatch.setattr(worker, "remembering", lambda model: found)
    return found


def proving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **fates: Any) -> list[str]:
    """Let precisions meet their fates in the worker, and return the verdicts and, in a file, who was tried."""

    def prove_cell(reference: Any, format_name: str, precision: str, progress: Any) -> Cell:
        with (tmp_path / "tried").open("a") as tried:
            tried.write(f"{precision}\n")
        fates.get(precision, lambda tell: None)(lambda message: None)
        return Cell("small", format_name, precision, "proven")

    monkeypatch.setattr(worker, "prove_cell", prove_cell)
    todo = [("onnx", p) for p in ("fp32", "fp16", "int8")]
    return [c.verdict for c in worker.prove("small", todo, Limits(timeout_s=1.0), parent=os.getppid())]


def tried(tmp_path: Path) -> list[str]:
    return (tmp_path / "tried").read_text().split()


@pytest.mark.usefixtures("reference")
def test_a_cell_that_dies_after_others_is_tried_alone_and_the_rest_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proving(tmp_path, monkeypatch, fp16=segfault) == ["proven", "crashed", "proven"]
    assert tried(tmp_path) == ["fp32", "fp16", "fp16", "int8"]


@pytest.mark.usefixtures("reference")
def test_a_cell_that_dies_by_itself_is_not_tried_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proving(tmp_path, monkeypatch, fp32=abort, int8=hang) == ["crashed", "proven", "timeout"]
    assert tried(tmp_path) == ["fp32", "fp16", "int8"]


@pytest.mark.usefixtures("reference")
def test_what_dies_in_company_only_is_proven_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(tell: Tell) -> None:
        if tried(tmp_path).count("fp16") < 2:
            segfault(tell)

    assert proving(tmp_path, monkeypatch, fp16=crowded) == ["proven", "proven", "proven"]


def test_a_model_that_cannot_be_made_has_a_verdict_in_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(name: str, weights: str) -> ModelDef:
        raise MissingDependencyError("Building m needs the package 'timm'")

    monkeypatch.setattr(worker, "create_model", cannot)
    found = list(worker.prove("m", [("onnx", "fp32"), ("coreml", "fp16")], PATIENT, parent=os.getppid()))
    assert [(c.format, c.verdict) for c in found] == [("onnx", "not run"), ("coreml", "not run")]
    assert all("needs the package 'timm'" in str(c.reason) for c in found)


# One cell


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time little and calibrate on little: these tests are about what is told."""
    monkeypatch.setattr(speed, "_BUDGET_S", 0.01)
    monkeypatch.setattr(quantize, "CALIBRATION_COUNT", 4)


@pytest.mark.usefixtures("brief")
def test_a_cell_is_a_real_export_with_its_figures() -> None:
    model = small_nets.model_def()
    steps: list[str] = []
    cell = cells_module.prove_cell(
        cells_module.remembering(model), "onnx", "fp32", lambda step: steps.append(step.name)
    )
    assert (cell.key, cell.verdict, cell.proof) == (("small", "onnx", "fp32"), "proven", "executed")
    assert cell.relative is not None
    assert 0 <= cell.relative < 1e-4
    assert cell.size_bytes is not None
    assert 5_000 < cell.size_bytes < 100_000
    assert cell.ratio is not None
    assert cell.ratio > 0
    assert cell.top1 is None  # untrained: it would mean nothing
    assert sum(cell.placement[0]["places"].values()) > 5
    assert "convert to ONNX" in steps
    assert Cell.of(Table.of(json.loads(json.dumps(cell.to_dict())), "")) == cell


@pytest.mark.usefixtures("brief")
def test_int8_of_random_weights_runs_and_is_not_called_proven() -> None:
    cell = cells_module.prove_cell(cells_module.remembering(small_nets.model_def()), "onnx", "int8")
    assert (cell.verdict, cell.trained) == ("runs", False)


@pytest.mark.parametrize(
    ("note", "op"),
    [
        ("the first layer to leave the range of fp16 is 'blocks_2_mul' (mul at blocks.2): 2.9e+05", "mul"),
        ("the first layer to go wrong is 'stages_1_conv' (conv), relative error 0.3", "conv"),
        ("no layer alone explains it; the least exact one is 'x' (linear), relative error 0.01", "linear"),
        ("no layer could be named: the file cannot be opened", None),
        ("UNTRAINED weights: top-1 agreement and int8 figures are reported, not gated", None),
    ],
)
def test_a_note_that_blames_a_layer_names_the_operator(note: str, op: str | None) -> None:
    assert blamed_op(note) == op


def test_a_refused_export_tells_gate_and_figures() -> None:
    reference = cells_module.remembering(small_nets.model_def())
    for key, value in list(reference.kept.items()):
        if key[0] == "answers":
            reference.kept[key] = value + 0.3  # as if the file were wrong
    cell = cells_module.prove_cell(reference, "onnx", "fp32")
    assert cell.verdict == "refused"
    assert cell.relative is not None
    assert cell.relative > 1e-3
    assert cell.reason is not None
    assert cell.reason.startswith("relative 0.")
    assert ", limit 0.0001" in cell.reason


def test_the_reference_asks_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def run(self: Reference, batch: Any) -> Any:
        asked.append(len(batch))
        return batch[:, 0, 0]

    monkeypatch.setattr(Reference, "_run", run)
    reference = cells_module.remembering(small_nets.model_def())
    before = len(asked)
    shown = verify.choose_pictures(reference.model.spec, None, trained=False, most=cells_module.PICTURES)
    pixels = np.stack(list(shown.pixels(reference.model.spec.image)))
    reference.answers(pixels)
    reference.noise_relative(pixels)
    assert len(asked) == before
    reference.answers(pixels[:3])
    assert asked[before:] == [3]


@pytest.mark.parametrize(
    ("fault", "verdict", "op"),
    [
        (UnsupportedError("LiteRT has no 'fp61'"), "unsupported", None),
        (ConversionError("Core ML cannot express m: no form of torch's 'aten.roll'."), "unsupported", "aten.roll"),
        (ConversionError("No decomposition for aten::_grid_sampler"), "unsupported", "aten._grid_sampler"),
        (ConversionError("failed to legalize operation 'tfl.gather_nd'"), "unsupported", "tfl.gather_nd"),
        (ConversionError('Layer "a_b_2", with type "reshape", outputs a rank 6 tensor'), "unsupported", "reshape"),
        (ConversionError("unsupported operator: 'EinsumX'"), "unsupported", "EinsumX"),
        (EngineError("ONNX Runtime cannot load x: the op 'Foo' is unknown"), "failed", "Foo"),
        (MissingDependencyError("needs the package 'openvino'"), "not run", None),
        (ModuleNotFoundError("No module named 'edgevit.exporters.coreml'"), "not run", None),
        (ZeroDivisionError("division by zero"), "failed", None),
    ],
)  # fmt: skip
def test_faults_become_verdicts(fault: Exception, verdict: str, op: str | None) -> None:
    told = cells_module.verdict_of(fault)
    assert (told["verdict"], told["op"]) == (verdict, op)
    assert told["reason"]


def test_a_reason_is_short_and_names_no_place_on_this_machine() -> None:
    told = sentence("\n  In /srv/box/lib/python3.11/site-packages/torch/nn.py: no\n  more")
    assert told == "In nn.py: no"
    assert sentence("\x1b[96mThis is step 3/3\x1b[0m of it") == "This is step 3/3 of it"
    assert len(sentence("x" * 1000)) == 300
    assert sentence(" \n") == "no reason given"


def test_a_cell_whose_export_raises_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*args: Any, **options: Any) -> None:
        raise ConversionError("LiteRT cannot express small: no 'aten.roll'. Try --format onnx")

    monkeypatch.setattr(base, "export", cannot)
    cell = cells_module.prove_cell(cells_module.Remembering(small_nets.model_def()), "litert", "fp32")
    assert (cell.verdict, cell.op) == ("unsupported", "aten.roll")
    assert not issubclass(ConversionError, RefusedError)


def test_a_neighbour_that_takes_the_core_away_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, processor = [0.0], [0.0]

    def work(seconds: float) -> None:
        wall[0] += 5.0  # whoever has the core meanwhile
        processor[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: wall[0])
    monkeypatch.setattr(time, "process_time", lambda: processor[0])
    assert speed.in_turns(lambda: work(0.25), lambda: work(0.5)) == (250.0, 500.0)


@pytest.mark.usefixtures("brief")
def test_a_proof_outlives_what_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise AttributeError("'Interpreter' object has no attribute '_ops'")

    monkeypatch.setattr(cells_module, "latencies_ms", broken)
    monkeypatch.setattr(placement, "place", broken)
    cell = cells_module.prove_cell(cells_module.remembering(small_nets.model_def()), "onnx", "fp32")
    assert (cell.verdict, cell.latency_ms, cell.placement) == ("proven", None, ())
    assert str(cell.reason).startswith("it could not be timed: AttributeError: ")
    assert "; its placement is not known: AttributeError: " in str(cell.reason)


@pytest.mark.usefixtures("brief")
def test_two_things_are_timed_by_turns() -> None:
    turns: list[str] = []
    ours, others = speed.in_turns(lambda: turns.append("a"), lambda: turns.append("b"))
    assert min(ours, others) >= 0
    assert turns == ["a", "b"] * (len(turns) // 2)


# The run: processes that die, and a store that stays sound

STAND_IN = """
import json, os, sys, time
order = json.loads(sys.argv[1])
open(os.path.join({folder!r}, str(os.getpid())), "w").write(order["model"])
open(os.path.join(os.environ["TMPDIR"], "left behind"), "w").close()
for format_name, precision in order["cells"]:
    if order["model"] == "dies" and precision == "fp16":
        os.abort()
    if order["model"] == "hangs":
        time.sleep(600)
    cell = dict(model=order["model"], format=format_name, precision=precision, verdict="proven")
    print(json.dumps(cell), flush=True)
"""

PAIR = (("onnx", "fp32"), ("onnx", "fp16"))


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a stand-in in the worker's place, and see afterwards that no process and no file of it is left."""
    folder, rest = tmp_path / "processes", tmp_path / "rest"
    folder.mkdir()
    rest.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rest))
    monkeypatch.setattr(run_module, "WORKER", (sys.executable, "-c", STAND_IN.format(folder=str(folder))))
    yield folder
    for file in folder.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.name), 0)
    assert list(rest.iterdir()) == []


def keys(*models: str) -> list[Key]:
    return [(model, *pair) for model in models for pair in PAIR]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_worker_that_dies_takes_no_other_model_along(processes: Path, tmp_path: Path, jobs: int) -> None:
    with Store(tmp_path / "c", "") as kept:
        found = run_module.run(keys("a", "dies", "b"), kept, PATIENT, jobs=jobs)
    assert [c.verdict for c in found] == ["proven", "proven", "proven", "crashed", "proven", "proven"]
    assert "SIGABRT" in str(found[3].reason)
    assert {line.cell for line in read_lines(tmp_path / "c")} == set(found)


def test_a_worker_that_says_nothing_is_ended(processes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_GRACE_S", 0.5)
    with Store(tmp_path / "c", "") as kept:
        found = run_module.run(keys("hangs"), kept, Limits(timeout_s=0.5), jobs=1)
    assert [c.verdict for c in found] == ["crashed", "crashed"]


def test_what_is_finished_is_not_run_again(processes: Path, tmp_path: Path) -> None:
    told: list[tuple[Key, int, int]] = []
    for models in (("a",), ("a", "b"), ("a", "b")):
        with Store(tmp_path / "c", "") as kept:
            found = run_module.run(
                keys(*models), kept, PATIENT, jobs=2, told=lambda cell, n, of: told.append((cell.key, n, of))
            )
        assert [c.key for c in found] == keys(*models)
    assert told == [(keys("a")[0], 1, 2), (keys("a")[1], 2, 2), (keys("b")[0], 3, 4), (keys("b")[1], 4, 4)]
    assert sorted(file.read_text() for file in processes.iterdir()) == ["a", "b"]


def test_a_run_that_is_interrupted_leaves_a_sound_store_and_no_process(processes: Path, tmp_path: Path) -> None:
    def interrupt(cell: Cell, count: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), Store(tmp_path / "c", "") as kept:
            run_module.run(keys("a", "hangs", "hangs"), kept, PATIENT, jobs=3, told=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    (line,) = read_lines(tmp_path / "c")
    assert line.cell.key == keys("a")[0]


@pytest.mark.parametrize(
    ("dying", "verdict", "words"),
    [
        ("import no_such_torch", "not run", "code 1: ModuleNotFoundError: No module named 'no_such_torch'"),
        ("import sys; sys.exit('libtorch.so: cannot allocate memory')", "crashed", "libtorch.so: cannot allocate"),
        ("import os; os.write(2, b'x' * 200_000 + b'\\nbus fault\\n'); os.abort()", "crashed", "SIGABRT: bus fault"),
        ("import os; os._exit(7)", "crashed", "ended with code 7"),
    ],
)
def test_the_last_words_of_a_worker_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: str, verdict: str, words: str
) -> None:
    monkeypatch.setattr(run_module, "WORKER", (sys.executable, "-c", dying))
    with Store(tmp_path / "c", "") as kept:
        found = run_module.run(keys("a"), kept, PATIENT, jobs=1)
    assert [c.verdict for c in found] == [verdict, verdict]
    assert all(words in str(c.reason) for c in found)


def test_a_stack_is_not_the_last_word() -> None:
    printed = b'ValueError: no\nFatal Python error: Aborted\nThread 0x1 (most recent call first):\n  File "a.py"\n\n'
    assert last_words(printed) == "ValueError: no"
    assert last_words(b"") == ""


def test_what_a_worker_garbles_is_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "WORKER", (sys.executable, "-c", "print('nonsense')"))
    with Store(tmp_path / "c", "") as kept, pytest.raises(json.JSONDecodeError):
        run_module.run(keys("a"), kept, PATIENT, jobs=1)
    assert read_lines(tmp_path / "c") == ()


# Orders and the command line


@pytest.mark.parametrize(
    ("again", "ran"), [("nothing", ["b"]), ("unproven", ["b", "dies"]), ("everything", ["a", "b", "dies"])]
)
def test_an_order_says_what_is_run_again(processes: Path, tmp_path: Path, again: Any, ran: list[str]) -> None:
    with Store(tmp_path / "c", "") as kept:
        for key, verdict in zip(keys("a", "dies"), ["proven", "proven", "proven", "timeout"], strict=True):
            kept.add(Cell(*key, verdict))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgevit.exporters.matrix.order.plan", lambda *words: tuple(keys("a", "dies", "b")))
        found = matrix(out=tmp_path / "c", again=again, jobs=1)
    assert len(found.cells) == 6
    assert sorted(file.read_text() for file in processes.iterdir()) == ran


def test_a_check_finds_what_was_lost(processes: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    shipped = tuple(Cell(*key, "proven", seconds=5.0) for key in keys("a", "dies"))
    monkeypatch.setattr("edgevit.exporters.matrix.order.plan", lambda *words: tuple(keys("a", "dies", "b")))
    monkeypatch.setattr(proven, "load", lambda: Proven(shipped, "", ""))
    assert main(["matrix", "--check", "--cells", "10", "--rotate", "5", "--jobs", "1"]) == 1
    told = capsys.readouterr()
    assert "edgevit: dies onnx fp16 ships as proven and is now crashed: the model's own process ended with" in told.err
    assert "3 of 4 fp32 and fp16 cells are proven" in told.out
    assert not Path("edgevit-matrix.jsonl").exists()
    assert main(["matrix", "--check", "--cells", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["proven"], answer["judged"], answer["lost"], answer["file"]) == (1, 1, [], "")


def test_the_verb_shows_a_table_and_keeps_the_cells(
    processes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["matrix", "--models", "levit_128", "timm/dies", "--formats", "onnx", "ov"]) == 0
    told = capsys.readouterr()
    row = next(line for line in told.out.splitlines() if line.startswith("levit_128 "))
    assert row.split(None, 1)[1].split("  ") == ["fp32, fp16", "fp32, fp16"]
    assert "proven (8 of 8)" in told.err
    assert len(read_lines(tmp_path / "edgevit-matrix.jsonl")) == 8
    assert "kept in edgevit-matrix.jsonl" in told.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rotate", "3"], "Type: --cells 10 --rotate N"),
        (["--memory", "0"], "--memory must be more than 0 GiB"),
        (["--timeout", "soon"], "expected a time"),
        (["--fresh", "--retry"], "not allowed with"),
        (["--jobs", "64"], "more than the 2 cores here"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(order, "cores", lambda: 2)
    assert main(["matrix", *words]) == 2
    assert told in capsys.readouterr().err


def test_an_order_without_torch_says_what_to_type(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(order, "find_spec", lambda name: None)
    assert main(["matrix", "--check", "--cells", "1"]) == 3
    assert "needs the package 'torch', which is not installed. Type: pip install 'edgevit[all]'" in (
        capsys.readouterr().err
    )


def test_an_order_that_proves_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "WORKER", (sys.executable, "-c", "import no_such_timm"))
    assert main(["matrix", "--models", "levit_128", "--formats", "onnx"]) == 1
    told = capsys.readouterr()
    assert "No module named 'no_such_timm'" in told.out
    assert "no cell is proven" in told.err


def test_the_verb_tells_the_figures_of_each_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = Cell("levit_128", "onnx", "fp32", "proven", proof="executed", size_bytes=37_000_000, relative=3e-6)
    cell = replace(cell, latency_ms=4.0, torch_ms=16.0, placement=({"unit": "CPU", "places": {"CPU": 99}},))
    line = f"print({json.dumps(json.dumps(cell.to_dict()))})"
    monkeypatch.setattr(run_module, "WORKER", (sys.executable, "-c", line))
    assert main(["matrix", "--models", "levit_128", "--formats", "onnx", "--precisions", "fp32"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("proven, executed", "37.0 MB", "3.0e-06", "0.25", "99 CPU"))


# What ships


def test_what_ships_is_the_newest_of_each_cell_in_the_order_of_the_plan(tmp_path: Path) -> None:
    old = Proven((Cell("levit_128", "onnx", "fp32", "timeout"), Cell("gone", "onnx", "fp32", "proven")), "old", "1970")
    data, text = tmp_path / "proven.json", tmp_path / "page.md"
    data.write_text(old.to_json())
    with Store(tmp_path / "c", "AMD EPYC") as kept:
        kept.add(Cell("levit_128", "litert", "fp16", "refused", op="aten.roll", reason="a | b"))
        kept.add(Cell("levit_128", "onnx", "fp32", "proven", proof="executed", latency_ms=1.5, torch_ms=3.0))
        kept.add(Cell("shvit_shapes", "coreml", "int8", "proven", proof="interpreted"))
        kept.add(Cell("shvit_shapes", "openvino", "fp32", "not run"))
    ship.main([str(tmp_path / "c"), "--data", str(data), "--page", str(text)])
    made = proven.load(data)
    assert [c.key for c in made.cells] == [
        ("shvit_shapes", "coreml", "int8"),
        ("levit_128", "onnx", "fp32"),
        ("levit_128", "litert", "fp16"),
    ]
    assert made.cells[1].verdict == "proven"
    assert made.machine == "AMD EPYC"
    assert made.tools["torch"]
    assert "weights" not in made.tools
    assert text.read_text() == page(made)
    assert "| `levit_128` | 1.5 | refused | - |" in text.read_text()
    assert "| `levit_128` | litert | fp16 | refused | `aten.roll` | a \\| b |" in text.read_text()
    assert "**1 of 2 fp32 and fp16 cells are proven (50.0%)**" in text.read_text()


def lines_of(tmp_path: Path, machine: str, **tools: str) -> tuple[store.Line, ...]:
    with Store(tmp_path / machine, machine) as kept:
        kept.add(Cell("levit_128", "onnx", "fp32", "proven", latency_ms=1.0, torch_ms=2.0))
    return tuple(replace(line, tools={**line.tools, **tools}) for line in read_lines(tmp_path / machine))


def test_cells_of_another_run_keep_their_machine_and_day(tmp_path: Path) -> None:
    before = Cell("levit_128", "onnx", "fp16", "proven", latency_ms=9.0, torch_ms=9.0)
    made = ship.gather(lines_of(tmp_path, "a Xeon"), Proven((before,), "a Pi", "1970-01-01"))
    again = ship.gather(lines_of(tmp_path, "a Mac"), made)
    assert [(c.machine, c.made) for c in made.cells] == [(None, None), ("a Pi", "1970-01-01")]
    assert [(c.precision, c.machine) for c in again.cells] == [("fp32", None), ("fp16", "a Pi")]
    assert proven.parse(again.to_json(), where="here") == again
    text = page(again)
    assert f"Made on a Mac, {made.made}; a Pi, 1970-01-01." in text
    assert "2 of the 2 times are older and were taken by the clock on the wall" in text


def test_cells_of_other_tools_are_not_merged(tmp_path: Path) -> None:
    before = Proven((Cell("levit_128", "onnx", "fp16", "proven"),), "a Pi", "1970-01-01", {"onnx": "1.2"})
    lines = lines_of(tmp_path, "a Pi", onnx="1.3")
    with pytest.raises(InputError, match=r"cells were made with onnx 1\.2, others with 1\.3.* add --alone"):
        ship.gather(lines, before)
    assert ship.gather(lines, replace(before, cells=())).tools["onnx"] == "1.3"
    replaced = Proven((Cell("levit_128", "onnx", "fp32", "proven"),), "a Pi", "1970-01-01", {"onnx": "1.2"})
    assert ship.gather(lines, replaced).tools["onnx"] == "1.3"  # nothing of the older run is kept


def test_what_other_code_made_is_counted(tmp_path: Path) -> None:
    assert ship.stale(lines_of(tmp_path, "a Pi")) == 0
    assert ship.stale(lines_of(tmp_path, "a Pi", code="0123456789ab")) == 1


def test_the_page_tells_of_every_file_what_is_known() -> None:
    phone = {"unit": "the GPU of a phone", "places": {"GPU": 7, "CPU": 2}, "fallbacks": {"CAST": 2}, "basis": "rule"}
    board = {"unit": "XNNPACK", "places": {"XNNPACK": 9}, "basis": "executed", "decides": False}
    cell = Cell("m", "litert", "fp16", "proven", proof="executed", size_bytes=1_250_000, relative=1.5e-3)
    cell = replace(cell, latency_ms=2.0, torch_ms=8.0, clock=speed.CLOCK, placement=(board, phone))
    text = page(Proven((cell,), "a Pi", "1970-01-01"))
    row = "| `m` | fp16 | executed | 1.2 MB | 1.5e-03 | 2 | 0.25 | "
    assert row + "XNNPACK: 9 XNNPACK; the GPU of a phone: 7 GPU + 2 CPU (falls back: 2 CAST) |" in text
    assert "| LiteRT | fp16 | the GPU of a phone | rule | 1 of 1 | 2 CAST |" in text
    assert "by the clock on the wall" not in text


@pytest.mark.skipif(shutil.which("make") is None, reason="make is absent")
def test_clean_leaves_the_finished_cells(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).resolve().parents[2] / "Makefile", tmp_path)
    for name in ("build/matrix.jsonl", "build/weights/net", "build/.hidden", "dist/edgevit.whl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for target, left in (("clean", ["Makefile", "build/matrix.jsonl"]), ("clean", None), ("distclean", ["Makefile"])):
        subprocess.run(["make", target], cwd=tmp_path, check=True, capture_output=True)
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
        assert left is None or found == left
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)  # with no build folder at all


def test_an_empty_store_ships_nothing(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("")
    with pytest.raises(InputError, match="no cell in this store"):
        ship.main([str(tmp_path / "c")])


def test_the_page_says_what_the_data_say() -> None:
    written = Path(__file__).resolve().parents[2] / "docs" / "matrix.md"
    assert written.read_text(encoding="utf-8") == page(proven.load())


def test_a_page_without_cells_can_be_written() -> None:
    assert "none was run" in page(Proven((), "nowhere", "never"))


@pytest.mark.slow
def test_a_real_worker_proves_a_real_cell(tmp_path: Path) -> None:
    found = matrix(models=["shvit_shapes"], formats=["onnx"], precisions=["fp32", "int8"], out=tmp_path / "c", jobs=1)
    assert [c.verdict for c in found.cells] == ["proven", "proven"]
    assert all(c.trained and c.top1 and c.accuracy and c.accuracy > 0.9 and c.ratio for c in found.cells)
