"""What is fp16 in a TensorRT file holds the values that the user's own pictures reach, or the export is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_nets
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

import edgevit
from edgevit.errors import RefusedError
from edgevit.exporters import tensorrt
from edgevit.exporters.half import LARGEST_HALF
from edgevit.exporters.onnx_peaks import _largest
from edgevit.models import ModelDef
from edgevit.pictures import write_picture

THRESHOLD = 4.0
"""How much more red than green and blue a whole picture must be, after normalisation; built-in scenes never are."""


class RedAlarm(nn.Module):
    """Be quiet on every picture but a red one, on which a value far beyond fp16 arises."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.red = nn.Conv2d(3, 1, 1)
        self.louder = nn.Conv2d(1, 1, 1, bias=False)
        self.quieter = nn.Conv2d(1, 1, 1, bias=False)
        self.head = nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([300.0, -300.0, -300.0]).view(1, 3, 1, 1))
            assert self.red.bias is not None
            self.red.bias.fill_(-300 * THRESHOLD)
            self.louder.weight.fill_(300.0)
            self.quieter.weight.fill_(1 / 90000)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mean = self.pool(image)
        alarm = self.quieter(torch.relu(self.louder(torch.relu(self.red(mean)))))
        scores: torch.Tensor = self.head(torch.cat([mean, alarm], 1)).flatten(1)
        return scores


@pytest.fixture
def model() -> ModelDef:
    torch.manual_seed(0)
    like = small_nets.model_def()
    return ModelDef.from_module(RedAlarm().eval(), like.spec, name="alarm", weights=like.weights)


@pytest.fixture
def red(tmp_path: Path) -> Path:
    folder = tmp_path / "red"
    folder.mkdir()
    for shade in range(4):
        picture = np.zeros((40, 40, 3), np.uint8)
        picture[..., 0] = 255 - shade
        write_picture(folder / f"{shade}.png", picture)
    return folder


def run_in_half(bundle: edgevit.Bundle, picture: Path) -> Any:
    """Answer by ONNX's own evaluator, which computes fp16 in fp16; ONNX Runtime's CPU kernels widen it."""
    from edgevit.kernels import prepare
    from edgevit.pictures import read_picture

    tensor = prepare(read_picture(picture), bundle.manifest.spec.image, color="rgb")
    file = onnx.load(bundle.graph_file())
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(file).run(None, {file.graph.input[0].name: tensor})[0], tensor


def test_what_only_the_users_pictures_reach_is_kept_in_float32(model: ModelDef, red: Path, tmp_path: Path) -> None:
    bundle = edgevit.export(model, format="tensorrt", precision="fp16", images=red, out=tmp_path / "b")
    told = bundle.manifest.verification["file"]
    assert told["largest_value_seen"] > LARGEST_HALF > told["largest_value_in_fp16"]
    assert "range" in told["kept_in_fp32"]
    got, tensor = run_in_half(bundle, red / "0.png")
    with torch.inference_mode():
        wanted = model.module(torch.from_numpy(tensor)).numpy()
    assert np.abs(got - wanted).max() / np.abs(wanted).max() < 5e-3
    (gate,) = (g for g in bundle.manifest.verification["gates"] if g["name"] == "largest value inside")
    assert (gate["passed"], gate["counted"]) == (True, True)


def test_without_those_pictures_the_same_net_overflows_on_them(model: ModelDef, red: Path, tmp_path: Path) -> None:
    bundle = edgevit.export(model, format="tensorrt", precision="fp16", out=tmp_path / "b")
    assert "range" not in bundle.manifest.verification["file"]["kept_in_fp32"]
    got, _ = run_in_half(bundle, red / "0.png")
    assert not np.isfinite(got).all()


def test_a_value_that_fp16_cannot_hold_refuses_the_export(
    model: ModelDef, red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "find_islands", lambda graph, peaks: {})
    with pytest.raises(RefusedError, match="largest value inside"):
        edgevit.export(model, format="tensorrt", precision="fp16", images=red, out=tmp_path / "b")
    report = json.loads((tmp_path / "b.refused" / "report.json").read_text())
    (gate,) = (g for g in report["gates"] if g["name"] == "largest value inside")
    assert gate["value"] > LARGEST_HALF
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("numbers", "largest"),
    [([1.0, -3.0], 3.0), ([-np.inf, 2.0], 2.0), ([np.inf, np.nan, -7e4], 7e4), ([np.nan], 0.0), ([], 0.0)],
)
def test_the_largest_value_is_of_what_is_finite(numbers: list[float], largest: float) -> None:
    assert _largest(np.array(numbers, np.float32)) == largest
