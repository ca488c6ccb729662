"""Prove that a net that takes grey levels answers as the plain net does for normalised pictures, at the border too."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import Tensor, nn

from edgevit.kernels.rewrites import fold_normalisation, rewrite
from edgevit.kernels.rewrites.normalisation import FromLevels, first_convolution
from edgevit.models import create_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def levels(batch: int, height: int, width: int) -> Tensor:
    made: Tensor = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
    return made


def normalised(u: Tensor, mean: Any = MEAN, std: Any = STD) -> Tensor:
    """Say it as the contract does, in float64."""
    as_map = [torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (mean, std)]
    return (u.double() / 255 - as_map[0]) / as_map[1]


def check(module: nn.Module, u: Tensor, mean: Any = MEAN, std: Any = STD) -> FromLevels:
    module = module.double().eval()
    made = fold_normalisation(module, mean, std, size_hw=(u.shape[2], u.shape[3]))
    assert isinstance(made, FromLevels)
    with torch.no_grad():
        torch.testing.assert_close(made(u), module(normalised(u, mean, std)), rtol=1e-10, atol=1e-10)
    return made


fractions = st.tuples(*3 * [st.floats(0, 1)])
positive = st.tuples(*3 * [st.floats(0.05, 1)])


@settings(max_examples=40)
@given(
    mean=fractions,
    std=positive,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    mode=st.sampled_from(["zeros", "reflect", "replicate"]),
    size=st.tuples(st.integers(9, 17), st.integers(9, 17)),
)
def test_any_convolution_is_exact_at_the_border(
    mean: Any, std: Any, kernel: int, stride: int, padding: int, dilation: int, bias: bool, mode: Any, size: Any
) -> None:
    stem = nn.Conv2d(3, 4, kernel, stride, padding, dilation, bias=bias, padding_mode=mode)
    made = check(nn.Sequential(stem, nn.ReLU()), levels(2, *size), mean, std)
    assert made.scale is None, "the scale is always folded"
    zeros = padding > 0 and mode == "zeros" and any(mean)
    assert (made.offset is not None) == zeros, "the offset too, where no zeros come in"


@settings(max_examples=20)
@given(kernel=st.integers(1, 5), stride=st.integers(1, 3), size=st.tuples(st.integers(5, 17), st.integers(5, 17)))
def test_same_padding_is_exact_at_the_border(kernel: int, stride: int, size: Any) -> None:
    made = check(nn.Sequential(Conv2dSame(3, 4, kernel, stride=stride), nn.SiLU()), levels(1, *size))
    assert made.scale is None


class TwoReaders(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stem(x)  # type: ignore[no-any-return]


class TwoCalls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.stem(self.stem(x))  # type: ignore[no-any-return]


class Shaped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        assert x.ndim == 4
        return self.stem(x)[:, :, : height - 1, : width - 1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "module",
    [
        TwoReaders(),
        TwoCalls(),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 9, 5)),
    ],
    ids=["two readers", "two calls", "a norm first", "a pad first", "channels apart", "no convolution"],
)
def test_a_net_without_a_plain_first_convolution_is_normalised_in_its_graph(module: nn.Module) -> None:
    assert check(module, levels(2, 8, 9)).scale is not None


def test_looking_at_the_shape_is_not_reading() -> None:
    assert check(Shaped(), levels(1, 8, 9)).scale is None
    stem = Shaped()
    assert first_convolution(stem, (8, 9)) is stem.stem


def test_the_plain_fold_without_the_border_would_be_seen() -> None:
    """The mistake that this file is about: zeros of the border taken for black pixels."""
    stem = nn.Conv2d(3, 4, 3, padding=1).double()
    u = levels(1, 8, 9)
    offset = 255 * torch.tensor(MEAN, dtype=torch.float64)
    weight = stem.weight / (255 * torch.tensor(STD, dtype=torch.float64)).view(1, 3, 1, 1)
    assert stem.bias is not None
    wrong = F.conv2d(u.double(), weight, stem.bias - (weight * offset.view(1, 3, 1, 1)).sum((1, 2, 3)), padding=1)
    right = stem(normalised(u))
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(wrong[inner], right[inner], rtol=1e-10, atol=1e-10)
    assert (wrong - right).abs().max() > 0.01


def test_the_given_module_stays_as_it_is() -> None:
    stem = nn.Conv2d(3, 4, 3)
    before = stem.weight.clone()
    fold_normalisation(nn.Sequential(stem), MEAN, STD, size_hw=(8, 8))
    assert torch.equal(stem.weight, before)


def test_a_live_model_takes_a_camera_s_levels() -> None:
    model = create_model("shvit_s1", "random")
    image = model.spec.image
    rough = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    u = (255 * F.interpolate(rough, image.size_hw, mode="bilinear")).to(torch.uint8)
    made = fold_normalisation(model.module, image.mean, image.std)
    with torch.no_grad():
        theirs = model.module(normalised(u, image.mean, image.std).float())
        for net in (made, rewrite(made, "onnx"), rewrite(made, "litert")):
            assert float((net(u) - theirs).abs().max() / theirs.abs().max()) <= 5e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folds"),
    [
        ("mobilevit_xxs", True),
        ("mobilevitv2_050", True),
        ("efficientvit_m0", True),
        ("levit_128s", True),
        ("efficientformerv2_s0", True),
        ("deit_tiny_patch16_224", True),
        ("tf_efficientnet_lite0", True),
    ],
)
def test_the_first_convolution_of_known_nets_is_found(name: str, folds: bool) -> None:
    module = timm.create_model(name, pretrained=False).eval()
    made = fold_normalisation(module, MEAN, STD)
    assert isinstance(made, FromLevels)
    assert (made.scale is None) == folds
    size = module.pretrained_cfg["input_size"][1:]
    u = levels(1, *size)
    with torch.no_grad():
        theirs = module(normalised(u).float())
        torch.testing.assert_close(made(u), theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
