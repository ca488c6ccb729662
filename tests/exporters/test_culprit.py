from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_bundles

import edgevit
from edgevit.bundle import Bundle
from edgevit.errors import ChecksumError, WeightsError
from edgevit.exporters.reference import rebuilt
from edgevit.exporters.verify import verify
from edgevit.spec import ImageSpec

FIRST = re.compile(r"the first layer to go wrong is '(\w+)' \((\w+)\), relative error [0-9.]+")


def change_a_weight(bundle: Bundle) -> None:
    (weights,) = bundle.graph_file().glob("Data/*/weights/weight.bin")
    data = bytearray(weights.read_bytes())
    middle = len(data) // 8 * 4
    data[middle : middle + 4] = struct.pack("<f", struct.unpack_from("<f", data, middle)[0] + 3)
    weights.write_bytes(data)


@pytest.mark.slow
def test_a_weight_changed_by_hand_is_refused_and_then_told_by_its_layer(tmp_path: Path) -> None:
    bundle = edgevit.export("shvit_shapes", format="coreml", precision="fp32", out=tmp_path / "b", most=20)
    assert verify(bundle).passed
    change_a_weight(bundle)
    with pytest.raises(ChecksumError, match=r"weight\.bin' is not the file that was sealed"):
        verify(bundle.path)
    report = verify(bundle.path, ignore_checksums=True)
    assert not report.passed
    notes = " ".join(report.notes)
    told = FIRST.search(notes)
    assert told is not None
    assert told[1].startswith("stages_")
    assert told[2] in ("conv", "linear", "matmul")


@pytest.mark.slow
def test_random_weights_are_built_again_by_their_seed_to_name_the_layer_in_a_zip_too(tmp_path: Path) -> None:
    bundle = edgevit.export(
        "timm/lcnet_050", weights="random", seed=3, format="coreml", precision="fp32", out=tmp_path / "b", most=8
    )
    assert not any("layer" in note for note in verify(bundle).notes)
    change_a_weight(bundle)
    names = [p.relative_to(bundle.path).as_posix() for p in bundle.path.rglob("*") if p.is_file()]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        for name in names:
            zipped.write(bundle.path / name, name)
    for path in (bundle.path, tmp_path / "b.zip"):
        with pytest.raises(ChecksumError, match="sha256 differs"):
            verify(path)
        report = verify(path, ignore_checksums=True)
        assert not report.passed
        assert report.compared_with == "the stored reference"
        assert FIRST.search(" ".join(report.notes)), report.notes


@pytest.mark.parametrize(
    ("source", "command", "told"),
    [
        ("random (seed 4)", "edgevit export timm/lcnet_050", r"random weights of the seed 4 come out otherwise here"),
        ("file", "edgevit export timm/lcnet_050", r"not at hand. Give them with --weights W"),
        ("test", "in Python: edgevit.export(<ModelDef 'x'>)", r"was made in Python"),
        ("random (seed 0)", "in Python: edgevit.export(<ModelDef 'x'>)", r"mine was made in Python"),
    ],
)
def test_where_no_layer_can_be_named_the_report_says_why(source: str, command: str, told: str) -> None:
    sealed = tiny_bundles.manifest(trained=False)
    weights = replace(sealed.provenance.weights, source=source)
    image = ImageSpec(size_hw=(32, 32), resize_hw=(36, 36))
    manifest = replace(
        sealed,
        model="mine" if "mine" in told else "timm/lcnet_050",
        spec=replace(sealed.spec, image=image),
        provenance=replace(sealed.provenance, weights=weights, command=command),
    )
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(WeightsError, match=told):
        rebuilt(Bundle(Path("b"), manifest), pixels, np.full((1, len(sealed.spec.labels)), 1e-9, np.float32))
