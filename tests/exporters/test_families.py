"""One model of each family through each format, with random live weights: the long way, in `make test-all`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import edgevit
from edgevit.exporters import EXPORTERS
from edgevit.registry import SMALLEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", SMALLEST)
def test_one_model_of_each_family_is_proven_in_every_format(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    model = edgevit.create_model(name, "random")
    for format_name in sorted(EXPORTERS):
        bundle = edgevit.export(model, format=format_name, precision="fp32", most=16, out=tmp_path / format_name)
        figures = bundle.manifest.verification["figures"]
        assert figures["relative_median"] <= 2e-5, (format_name, figures)
        assert figures["top1"] == 1.0, (format_name, figures)
