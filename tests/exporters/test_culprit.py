from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

import edgevit
from edgevit.errors import ChecksumError
from edgevit.exporters.verify import verify


@pytest.mark.slow
def test_a_weight_changed_by_hand_is_refused_and_then_told_by_its_layer(tmp_path: Path) -> None:
    bundle = edgevit.export("shvit_shapes", format="coreml", precision="fp32", out=tmp_path / "b", most=20)
    assert verify(bundle).passed
    (weights,) = bundle.graph_file().glob("Data/*/weights/weight.bin")
    data = bytearray(weights.read_bytes())
    middle = len(data) // 8 * 4
    data[middle : middle + 4] = struct.pack("<f", struct.unpack_from("<f", data, middle)[0] + 3)
    weights.write_bytes(data)
    with pytest.raises(ChecksumError, match=r"weight\.bin' is not the file that was sealed"):
        verify(bundle.path)
    report = verify(bundle.path, ignore_checksums=True)
    assert not report.passed
    notes = " ".join(report.notes)
    told = re.search(r"the first layer to go wrong is '(\w+)' \((\w+)\), relative error [0-9.]+", notes)
    assert told is not None
    assert told[1].startswith("stages_")
    assert told[2] in ("conv", "linear", "matmul")
