"""What leaves the range of fp16 is seen wherever it stands, in a region that asks for float32 too."""

from __future__ import annotations

import torch
from torch import nn

from edgevit.exporters.half import HalfInterpreter


class Guarded(nn.Module):
    """Sum in a region without autocast, as EfficientViT-B's attention does; its answer is small again."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device_type="cpu", enabled=False):
            loud = x.float() * self.factor
            x = loud / self.factor
        return x + 1


def seen(factor: float) -> tuple[HalfInterpreter, torch.Tensor]:
    program = torch.export.export(Guarded(factor), (torch.zeros(1, 4),), strict=False)
    interpreter = HalfInterpreter(program.module())
    return interpreter, interpreter.run(torch.tensor([[1.0, -3.0, 0.5, 2.0]]))


def test_a_sum_that_overflows_inside_a_region_is_told_with_its_layer() -> None:
    interpreter, answer = seen(1e5)
    assert max(interpreter.peaks.values()) == 3e5
    assert "mul" in str(interpreter.first_outside())
    assert not torch.isfinite(answer).all(), "what overflows inside is lost outside"


def test_a_calm_region_is_rounded_like_the_rest() -> None:
    interpreter, answer = seen(3.0)
    assert interpreter.first_outside() is None
    torch.testing.assert_close(answer, torch.tensor([[2.0, -2.0, 1.5, 3.0]]), rtol=1e-3, atol=1e-3)
    assert len(interpreter.peaks) >= 4
