"""The shipped model, trained for real: what a conversion costs is measured in accuracy, not only in parity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgevit
from edgevit.bundle import Bundle, open_bundle
from edgevit.exporters import EXPORTERS
from edgevit.runtime.engines import executorch_file
from edgevit.scenes import shapes
from edgevit.weights import bundle_path

DEVICES = ("pixel-8", "raspberry-pi-5", "intel-n100")


def accuracy(bundle: Bundle, count: int) -> float:
    """Return the share of held-out renders that a bundle names right."""
    right = 0
    with edgevit.load(bundle) as session:
        for index in range(count):
            picture, label = shapes.render(index, seed=shapes.TEST_SEED)
            output = session.infer(session.prepare(edgevit.Frame(picture, "rgb", 0)))
            right += int(output[0].argmax()) == label
    return right / count


def proven_accuracy(bundle: Bundle) -> float:
    """Return what the proof found on the held-out renders, on the numerics of the file."""
    return float(bundle.manifest.verification["figures"]["accuracy_file"])


def weight_bytes(bundle: Bundle) -> int:
    """Add up the numbers a model file holds, without the graph around them."""
    path = bundle.graph_file()
    if path.is_dir():
        return sum(weights.stat().st_size for weights in path.rglob("weight.bin"))
    if path.suffix == ".onnx":
        import onnx

        return sum(onnx.numpy_helper.to_array(t).nbytes for t in onnx.load(path).graph.initializer)
    if path.suffix == ".xml":
        return path.with_suffix(".bin").stat().st_size
    if path.suffix == ".pte":
        return executorch_file.weight_bytes(path)
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    described = {entry.buffer for entry in model.metadata or []}
    return sum(len(b.data) for n, b in enumerate(model.buffers) if b.data is not None and n not in described)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    path = bundle_path("shvit_shapes")
    assert path is not None, "the ONNX bundle that ships with edgevit is missing"
    return open_bundle(path)


def test_the_shipped_bundle_is_trained_proven_and_right(shipped: Bundle) -> None:
    m = shipped.manifest
    assert m.trained
    assert m.verification["passed"]
    assert m.verification["figures"]["accuracy_file"] >= 0.97
    assert m.spec.labels == shapes.LABELS
    assert accuracy(shipped, 300) >= 0.95


def test_the_shipped_bundle_proves_itself_again_with_and_without_torch(shipped: Bundle) -> None:
    report = edgevit.verify(shipped)
    assert report.passed, str(report)
    assert report.compared_with == "torch"
    figures = report.to_dict()["figures"]
    assert figures["accuracy_file"] == figures["accuracy_model"]
    assert edgevit.verify(shipped, golden=True).passed


def test_the_shipped_bundle_is_what_an_export_makes(shipped: Bundle, tmp_path: Path) -> None:
    """Keep the bundle in the tree as new as the code: the contract, the answers and the weights' hash are the same."""
    # It ships at opset 18, which the oldest ONNX Runtime of the extras reads.
    made = edgevit.export("shvit_shapes", format="onnx", opset=18, out=tmp_path / "made")
    old, new = shipped.manifest, made.manifest
    assert (new.spec, new.graphs, new.engine, new.operations) == (old.spec, old.graphs, old.engine, old.operations)
    assert new.provenance.weights == old.provenance.weights
    assert set(new.files) == set(old.files)
    stored, fresh = (np.load(b.file("reference.npz"))["outputs"] for b in (shipped, made))
    np.testing.assert_allclose(fresh, stored, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("format_name", sorted(EXPORTERS))
def test_int8_keeps_the_accuracy_and_loses_the_weight(format_name: str, tmp_path: Path) -> None:
    full = edgevit.export("shvit_shapes", format=format_name, precision="fp32", out=tmp_path / "fp32")
    small = edgevit.export("shvit_shapes", format=format_name, precision="int8", out=tmp_path / "int8")
    before, after = proven_accuracy(full), proven_accuracy(small)
    assert before >= 0.97
    assert after >= before - 0.01, f"{format_name}: {before:.2%} -> {after:.2%}"
    assert weight_bytes(small) <= 0.3 * weight_bytes(full), (weight_bytes(small), weight_bytes(full))
    assert small.size_bytes <= 0.55 * full.size_bytes, (small.size_bytes, full.size_bytes)
    if small.manifest.graphs["main"].proof == "executed":  # what cannot run here has no session here either
        assert accuracy(small, 300) >= 0.95


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_devices_get_what_they_prefer(tmp_path: Path) -> None:
    for device in DEVICES:
        bundle = edgevit.export("shvit_shapes", device=device, out=tmp_path / device)
        assert bundle.manifest.device == device
        assert bundle.manifest.verification["figures"]["accuracy_file"] >= 0.96
