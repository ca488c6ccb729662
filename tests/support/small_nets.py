"""Make small torch classifiers for tests: they convert in seconds and still have what converters stumble over."""

from __future__ import annotations

import torch
from torch import nn

from edgevit.models import ModelDef
from edgevit.provenance import WeightsRecord
from edgevit.spec import ImageSpec, Spec

LABELS = ("red", "green", "blue", "grey")
SIZE = 32


class SmallNet(nn.Module):
    """Convolution, BatchNorm, attention over places, a head."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.qkv = nn.Linear(16, 48)
        self.head = nn.Linear(16, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(image).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        mixed = (query @ key.transpose(1, 2) / 4).softmax(-1) @ value
        scores: torch.Tensor = self.head((tokens + mixed).mean(1))
        return scores


def model_def(*, trained: bool = False, size: int = SIZE, seed: int = 0) -> ModelDef:
    """Return a model with seeded weights and lively BatchNorm statistics."""
    torch.manual_seed(seed)
    net = SmallNet()
    norm = net.stem[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.data.uniform_(0.5, 1.5)
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        net.head.weight.mul_(8)  # decided answers: a trained net does not sit on the fence either
    image = ImageSpec(size_hw=(size, size), resize_hw=(size + 4, size + 4))
    record = WeightsRecord("test", trained, licence="Apache-2.0")
    return ModelDef.from_module(net, Spec("classify", image, LABELS), name="small", weights=record)
