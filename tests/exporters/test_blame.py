from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import small_nets
import torch
from mil_weights import change_weight
from torch import nn

import edgevit
from edgevit.errors import BadOutputError, RefusedError
from edgevit.exporters import coreml
from edgevit.exporters.recipe import Converted, Job, Traced
from edgevit.models import ModelDef

pytest.importorskip("coremltools", reason="coremltools is not installed")


class Loud(nn.Module):
    """Leave the range of fp16 in the middle, and come back where ``back`` says how."""

    def __init__(self, back: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.calm = small_nets.SmallNet()
        self._back = back

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self._back(self.calm(image) * 1000 * 1000)


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_nets.model_def()


def loud(small: ModelDef, back: Callable[[torch.Tensor], torch.Tensor]) -> ModelDef:
    torch.manual_seed(0)
    return replace(small, module=Loud(back).eval())


def notes_of(report: Path) -> str:
    told = json.loads(report.read_text(encoding="utf-8"))
    assert not told["passed"]
    return " ".join(told["notes"])


@pytest.mark.parametrize(
    ("format_name", "layer"), [("coreml", r"'model_mul\w*' \(mul\): \d"), ("onnx", r"'mul_1' \(mul\.Tensor\): \d")]
)
def test_a_refusal_by_range_names_the_layer_that_leaves_it(
    small: ModelDef, tmp_path: Path, format_name: str, layer: str
) -> None:
    """The answer is right all the same: fp16's infinity is clamped like the number that it stands for."""
    model = loud(small, lambda scores: scores.clamp(-1, 1) * 3)
    sentence = rf"the first layer to leave the range of fp16 is {layer}"
    with pytest.raises(RefusedError, match=rf"largest value inside .*failed; {sentence}"):
        edgevit.export(model, format=format_name, precision="fp16", out=tmp_path / "b", most=4)
    assert "the first layer to leave" in notes_of(tmp_path / "b.refused" / "report.json")


def test_an_answer_of_infinity_names_the_layer_that_it_comes_from(small: ModelDef, tmp_path: Path) -> None:
    model = loud(small, lambda scores: scores.abs().sqrt() - 3)
    sentence = r"infinity in 'logits'.*; the first layer to leave the range of fp16 is 'model_mul\w*' \(mul\): .*fp32"
    with pytest.raises(BadOutputError, match=sentence):
        edgevit.export(model, format="coreml", precision="fp16", out=tmp_path / "b", most=4)
    assert list(tmp_path.iterdir()) == []
    assert edgevit.export(model, format="coreml", precision="fp32", out=tmp_path / "b", most=4).path == tmp_path / "b"


def test_a_refusal_by_error_names_the_layer_at_fault(
    small: ModelDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter that writes one wrong weight."""
    convert = coreml.convert

    def wrong(traced: Traced, job: Job) -> Converted:
        made = convert(traced, job)
        change_weight(job.folder / made.file, "qkv_weight", 25.0)
        return made

    monkeypatch.setattr(coreml, "convert", wrong)
    with pytest.raises(
        RefusedError, match=r"relative .*failed.*; the first layer to go wrong is 'qkv_linear' \(linear\)"
    ):
        edgevit.export(small, format="coreml", precision="fp32", out=tmp_path / "b", most=4)
    assert "the first layer to go wrong is 'qkv_linear'" in notes_of(tmp_path / "b.refused" / "report.json")
