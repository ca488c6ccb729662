"""int8 for OpenVINO where a table is added to a product with weights, as in EfficientFormerV2's attention."""

from __future__ import annotations

from pathlib import Path

import nncf
import pytest

import edgevit


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_table_that_nncf_takes_for_a_bias_is_quantised_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = []
    plain = nncf.quantize

    def watched(*args: object, **options: object) -> object:
        advanced = options["advanced_parameters"]
        assert isinstance(advanced, nncf.AdvancedQuantizationParameters)
        corrected.append(not advanced.disable_bias_correction)
        return plain(*args, **options)

    monkeypatch.setattr(nncf, "quantize", watched)
    bundle = edgevit.export(
        "efficientformerv2_s0", weights="random", format="openvino", precision="int8", out=tmp_path / "b", most=8
    )
    assert corrected == [True, False]  # if NNCF learns to tell the two apart, the second way can go
    assert bundle.manifest.verification["figures"]["relative_median"] < 0.3
