"""What runs in the place of a file that this machine cannot run, and that the manifest keeps it."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import executorch_files
import numpy as np
import pytest
import tiny_bundles

from edgevit.bundle import open_bundle
from edgevit.errors import SchemaError, UnsupportedError
from edgevit.exporters.recipe import Converted
from edgevit.exporters.stand_ins import open_file, open_made
from edgevit.manifest import StandIn

pytest.importorskip("executorch", reason="ExecuTorch is not installed")

GRAPH = executorch_files.GRAPH
IMAGE = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file for the CPU, and the same one as if it were for a delegate that is not here."""
    folder = tmp_path_factory.mktemp("made")
    twin = executorch_files.two_ways(folder / "model-cpu.pte")
    old, new = (struct.pack("<I", len(name)) + name.ljust(14, b"\0") for name in (b"XnnpackBackend", b"VulkanBackend"))
    (folder / GRAPH.file).write_bytes(twin.read_bytes().replace(old, new))
    return folder


def made(twin: str | None) -> Converted:
    return Converted(GRAPH.file, GRAPH.inputs, GRAPH.outputs, {}, twin=twin)


def test_a_twin_runs_where_the_file_cannot_and_is_found_again(folder: Path) -> None:
    first = open_made("executorch", folder, made("model-cpu.pte"), GRAPH)
    again = open_file("executorch", folder / GRAPH.file, replace(GRAPH, stand_in=first.stand_in))
    for opened in (first, again):
        assert opened.proof == "graph-only"
        assert opened.stand_in == StandIn("ExecuTorch on the CPU, from the same graph", "executed", "model-cpu.pte")
        assert "standing in for the device's" in opened.engine.description
        np.testing.assert_allclose(opened.engine.run({"image": IMAGE})["twice"], 2 * IMAGE, rtol=1e-6)
        opened.engine.close()


def test_a_twin_is_found_from_a_file_that_lies_deeper(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "phone").mkdir()
    shutil.copy(folder / GRAPH.file, tmp_path / "phone" / "model.pte")
    shutil.copy(folder / "model-cpu.pte", tmp_path)
    graph = replace(GRAPH, file="phone/model.pte", stand_in=StandIn("the twin", "executed", "model-cpu.pte"))
    opened = open_file("executorch", tmp_path / graph.file, graph)
    assert opened.stand_in is not None
    opened.engine.close()


def test_without_a_twin_such_a_file_is_refused_and_one_that_runs_needs_none(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="this machine's ExecuTorch has no VulkanBackend"):
        open_made("executorch", folder, made(None), GRAPH)
    opened = open_made("executorch", folder, replace(made("no such file"), file="model-cpu.pte"), GRAPH)
    assert (opened.proof, opened.stand_in) == ("executed", None)
    opened.engine.close()


def test_the_manifest_keeps_the_twin_s_name_and_refuses_one_that_is_not_there(tmp_path: Path) -> None:
    stand_in = StandIn("ExecuTorch on the CPU", "executed", "model-cpu.pte")
    graphs = {"main": replace(tiny_bundles.manifest().graphs["main"], proof="graph-only", stand_in=stand_in)}
    path = tiny_bundles.write(tmp_path / "b", graphs=graphs, more={"model-cpu.pte": b"twin"}).path
    assert open_bundle(path).manifest.graphs == graphs
    tiny_bundles.edit(path, lambda data: data["stand_in"]["main"].update(file="../model-cpu.pte"))
    with pytest.raises(SchemaError, match=r"'\.\./model-cpu\.pte' is not in the list of files"):
        open_bundle(path)
