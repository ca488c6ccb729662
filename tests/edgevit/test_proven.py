"""What is proven: the data that ships, how it is read, and how ``list`` tells it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.cli import main
from edgevit.errors import SchemaError
from edgevit.formats import FORMATS
from edgevit.proven import FILE, VERDICTS, Cell, Proven, load, parse, share

Capture = pytest.CaptureFixture[str]

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
FIGURES = st.none() | st.floats(0, 1e6)
CELLS = st.builds(
    Cell,
    model=TEXTS,
    format=st.sampled_from(list(FORMATS)),
    precision=st.sampled_from(("fp32", "fp16", "int8")),
    verdict=st.sampled_from(VERDICTS),
    trained=st.booleans(),
    proof=st.none() | TEXTS,
    size_bytes=st.none() | st.integers(0, 1 << 40),
    relative=FIGURES,
    latency_ms=FIGURES,
    torch_ms=FIGURES,
    placement=st.lists(st.fixed_dictionaries({"unit": TEXTS, "places": st.dictionaries(TEXTS, st.integers())})).map(
        tuple
    ),
    clock=st.none() | TEXTS,
    machine=st.none() | TEXTS,
    made=st.none() | TEXTS,
    op=st.none() | TEXTS,
    reason=st.none() | TEXTS,
)

HEAD = {"schema": 1, "machine": "a Pi", "made": "2026-11-21", "tools": {"torch": "2"}, "cells": []}
CELL = {"model": "m", "format": "onnx", "precision": "fp32", "verdict": "proven"}


def text(**changes: Any) -> str:
    return json.dumps({**HEAD, **changes})


@given(st.lists(CELLS, max_size=5), TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS))
def test_what_is_written_is_read_back(cells: list[Cell], machine: str, made: str, tools: dict[str, str]) -> None:
    data = Proven(tuple(cells), machine, made, tools)
    assert parse(data.to_json(), where="here") == data


def test_a_cell_is_a_line_and_what_is_unknown_is_left_out() -> None:
    data = Proven((Cell("a", "onnx", "fp32", "proven", relative=0.0), Cell("b", "onnx", "fp16", "timeout")), "m", "d")
    lines = data.to_json().splitlines()
    assert (
        lines[6] == '    {"model": "a", "format": "onnx", "precision": "fp32", "verdict": "proven", "relative": 0.0},'
    )
    assert lines[7] == '    {"model": "b", "format": "onnx", "precision": "fp16", "verdict": "timeout"}'


def test_where_operators_run_is_told_in_short() -> None:
    fallen = {"linear": 9, "reshape": 8, "conv": 3, "add": 2, "relu": 1}
    engine = {"unit": "the Neural Engine", "places": {"CPU or GPU": 23, "Neural Engine": 4}, "fallbacks": fallen}
    assert Cell("m", "coreml", "fp32", "proven", placement=(engine,)).placed == (
        "23 CPU or GPU + 4 Neural Engine (falls back: 9 linear, 8 reshape, 3 conv, 2 add and others)"
    )
    two = ({"unit": "XNNPACK", "places": {"XNNPACK": 7}}, {"unit": "the GPU of a phone", "places": {}})
    assert Cell("m", "litert", "fp32", "proven", placement=two).placed == (
        "XNNPACK: 7 XNNPACK; the GPU of a phone: nothing"
    )
    assert Cell("m", "onnx", "fp32", "refused").placed == ""


def test_cells_tell_where_and_when_they_were_made() -> None:
    cells = [Cell(name, "onnx", "fp32", "proven") for name in "abcd"]
    cells[1] = replace(cells[1], machine="a Mac")
    cells[2] = replace(cells[2], made="2026-11-19")
    data = Proven(tuple(cells), "a Pi", "2026-11-21")
    assert data.origins() == "a Pi, 2026-11-19 to 2026-11-21; a Mac, 2026-11-21"
    assert data.origins(cells[:1]) == "a Pi, 2026-11-21"
    assert Proven((), "a Pi", "2026-11-21").origins() == ""


def test_unknown_keys_are_passed_over() -> None:
    read = parse(text(cells=[{**CELL, "colour": "red"}], later=1), where="here")
    assert read.cells == (Cell("m", "onnx", "fp32", "proven"),)


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        (text(schema=2), "schema 2 is not 1"),
        (text(cells=[{**CELL, "verdict": "splendid"}]), "must be one of proven, runs"),
        (text(cells=[{**CELL, "latency_ms": "fast"}]), "must be a number"),
        (text(cells=[{**CELL, "size_bytes": 1.5}]), "must be a whole number"),
        (text(cells=[{**CELL, "trained": 1}]), "must be true or false"),
        (text(cells=[{"model": "m"}]), "is missing"),
        (text(tools=[]), "must be an object"),
    ],
)
def test_damage_is_one_sentence(damaged: str, words: str) -> None:
    with pytest.raises(SchemaError, match=r"^proven\.json cannot be read: ") as caught:
        parse(damaged, where="proven.json")
    assert words in str(caught.value)
    assert str(caught.value).endswith("Type: make matrix")


def test_the_share_counts_what_was_judged() -> None:
    cells = [
        Cell("m", "onnx", "fp32", "proven"),
        Cell("m", "onnx", "fp16", "refused"),
        Cell("m", "onnx", "int8", "runs"),
        Cell("m", "coreml", "fp32", "not run"),
    ]
    assert share(cells) == (1, 2)
    assert share(cells, ("int8",)) == (0, 1)


def test_the_ratio_needs_both_times() -> None:
    assert Cell("m", "onnx", "fp32", "proven", latency_ms=5.0, torch_ms=20.0).ratio == 0.25
    assert Cell("m", "onnx", "fp32", "proven", latency_ms=5.0).ratio is None


def test_what_ships_is_small_and_can_be_read() -> None:
    assert FILE.stat().st_size < 1_000_000
    shipped = load()
    assert parse(shipped.to_json(), where="itself") == shipped
    assert len({cell.key for cell in shipped.cells}) == len(shipped.cells)
    assert {cell.format for cell in shipped.cells} <= set(FORMATS)
    assert all(cell.precision in FORMATS[cell.format].precisions for cell in shipped.cells)
    assert not any("/tmp" in (cell.reason or "") for cell in shipped.cells)


@pytest.fixture
def some(monkeypatch: pytest.MonkeyPatch) -> Proven:
    cells = (
        Cell("levit_128s", "coreml", "fp32", "proven", proof="interpreted", size_bytes=31_000_000),
        Cell("levit_128s", "coreml", "fp16", "refused", reason="relative 0.2, limit 0.01"),
        Cell("levit_128s", "onnx", "fp32", "proven", proof="executed", size_bytes=31_000_000, latency_ms=12.34),
        Cell("levit_128s", "onnx", "int8", "runs", proof="executed", latency_ms=5.0),
        Cell("timm/resnet18", "onnx", "fp16", "unsupported", op="aten.einsum", reason="no form of aten.einsum"),
    )
    data = Proven(cells, "AMD EPYC", "2026-11-21", {"torch": "2.14.1"})
    monkeypatch.setattr("edgevit.cli.list.load", lambda: data)
    return data


def test_list_tells_what_is_proven_in_a_format_and_how_fast(some: Proven, capsys: Capture) -> None:
    assert main(["list", "--format", "ort"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("levit_128s"))
    assert "proven, 12.3 ms, 31.0 MB" in row
    assert "runs, 5 ms" in row
    assert "timm/resnet18 fp16: unsupported, no form of aten.einsum" in out
    assert "1 of 2 fp32 and fp16 files are proven in ONNX (executed)." in out
    assert "one thread of AMD EPYC, 2026-11-21" in out
    assert next(line for line in out.splitlines() if line.startswith("shvit_shapes")).endswith("yes")
    assert "levit_256" not in out


def test_list_says_how_far_a_proof_goes(some: Proven, capsys: Capture) -> None:
    assert main(["list", "levit", "--format", "coreml"]) == 0
    out = capsys.readouterr().out
    assert "(interpreted)" in out
    assert "levit_128s fp16: refused, relative 0.2, limit 0.01" in out
    assert "timm/" not in out


def test_list_gives_a_machine_the_cells(some: Proven, capsys: Capture) -> None:
    assert main(["list", "timm/resnet18", "--format", "onnx", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [m["proven"] for m in told["models"]] == [[some.cells[4].to_dict()]]
    assert main(["list", "levit_128s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["models"][0]["proven"]) == 4
    assert told["made"] == "2026-11-21"


def test_list_without_a_format_names_the_formats_that_are_reached(some: Proven, capsys: Capture) -> None:
    assert main(["list", "levit"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert rows["levit_128s"].endswith("onnx, coreml")
    assert rows["levit_128"].endswith("-")


def test_a_format_in_which_nothing_is_proven_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("edgevit.cli.list.load", lambda: Proven((), "none", "never"))
    assert main(["list", "--format", "tensorrt"]) == 0
    assert "No model is proven in TensorRT yet" in capsys.readouterr().out


def test_the_file_that_ships_is_the_one_beside_the_reader() -> None:
    assert Path("edgevit", "proven.json").parts == FILE.parts[-2:]
