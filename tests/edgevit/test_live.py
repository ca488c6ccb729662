"""Random weights must be alive, calm on pictures, and the same for the same seed.

Measured on 12 photographs of ImageNet classes, 2026-11, fp32, one thread; ``fp16`` is the median relative error after
all weights and folded biases were rounded to half precision, ``top-1`` counts the different answers:

====================== =========== ======= ===== | ===================== =========== ======= =====
net                    sensitivity fp16    top-1 | net                   sensitivity fp16    top-1
====================== =========== ======= ===== | ===================== =========== ======= =====
levit_128s             3.4e-7      8.9e-4  11    | mobilenetv3_small_100 4.0e-7      3.6e-3  11
shvit_s1               4.8e-7      2.2e-3  10    | fastvit_t8            2.6e-7      2.8e-3  9
efficientvit_m2        4.5e-7      2.2e-3  10    | convnext_atto         4.0e-7      1.5e-3  5
mobilevit_xxs          4.5e-7      6.1e-3  11    | deit_tiny_patch16_224 7.5e-7      9.2e-4  10
mobilevitv2_050        6.8e-7      4.4e-3  11    | repvit_m0_9           6.8e-7      4.4e-3  9
efficientformerv2_s0   3.4e-7      2.5e-3  4     |
====================== =========== ======= ===== | ===================== =========== ======= =====
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from edgevit.models import live

NAMES = ("levit_128s", "shvit_s1", "efficientvit_m0", "mobilevit_xxs", "mobilevitv2_050", "efficientformerv2_s0")
OTHERS = ("mobilenetv3_small_100", "convnext_atto")


def _net(name: str, seed: int = 0, side: int | None = None) -> Any:
    module: Any = timm.create_model(name)
    height, width = (side, side) if side else module.pretrained_cfg["input_size"][1:]
    live.make_live(module, input_size=(3, height, width), seed=seed)
    return module


def _unseen(module: Any, count: int = 4) -> Tensor:
    """Pictures that the calibration did not see, normalised as the net's card says."""
    card = module.pretrained_cfg
    mean, std = (torch.tensor(card[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (live.pictures(count, card["input_size"][1:], seed=4711) - mean) / std


@pytest.fixture(scope="module")
def nets() -> Iterator[dict[str, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many small steps: on a busy machine the threads' hand-overs would cost most of the time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "_PICTURES", 8)
        yield {name: _net(name) for name in (*NAMES, *OTHERS)}
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_live_net_is_calm_varied_and_bears_half_precision(nets: dict[str, Any], name: str) -> None:
    module = nets[name]
    images = _unseen(module)
    assert live.sensitivity(module, images) <= 1e-5
    with torch.no_grad():
        reference = module(images)
        assert (reference.std(0) / reference.abs().max()).median() > 0.01, "the answer hardly depends on the picture"
        weights = {key: value.clone() for key, value in module.state_dict().items()}
        module.load_state_dict({k: v.half().float() if v.ndim > 1 else v for k, v in weights.items()})
        module.train().eval()
        rounded = module(images)
        module.load_state_dict(weights)
        module.train().eval()
    error = ((rounded - reference).abs().amax(1) / reference.abs().amax(1)).median()
    assert 1e-6 < error < 1e-2


@pytest.mark.parametrize("name", ["levit_128s", "shvit_s1", "efficientvit_m0", "efficientformerv2_s0"])
def test_no_branch_is_dead(nets: dict[str, Any], name: str) -> None:
    """Every weight matters: silencing any one norm or layer scale changes the answer."""
    module = nets[name]
    image = _unseen(module, 1)
    scales = [p for key, p in module.named_parameters() if p.ndim == 1 and key.endswith(("weight", "gamma"))]
    with torch.no_grad():
        reference = module(image)
        for scale in scales[:: max(1, len(scales) // 6)]:
            kept = scale.clone()
            scale.zero_()
            assert (module(image) - reference).abs().max() > 1e-4 * reference.abs().max()
            scale.copy_(kept)


def test_the_prototype_of_timm_is_dead_where_ours_lives() -> None:
    """Guard the reason for all this: timm's own start has branches that put out nothing."""
    module = timm.create_model("shvit_s1")
    assert any(not bool(p.detach().any()) for key, p in module.named_parameters() if key.endswith("bn.weight"))


def test_the_seed_decides_and_nothing_else() -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    try:
        torch.set_num_threads(1)
        first = _net("mobilenetv3_small_100", side=64).state_dict()
        torch.manual_seed(2)
        torch.set_num_threads(2)
        second = _net("mobilenetv3_small_100", side=64).state_dict()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first[key], second[key]) for key in first)
    third = _net("mobilenetv3_small_100", seed=1, side=64).state_dict()
    assert not torch.equal(first["classifier.weight"], third["classifier.weight"])


def test_statistics_have_a_floor_and_stay_float32(nets: dict[str, Any]) -> None:
    for module in nets.values():
        assert not module.training
        state = module.state_dict()
        for key, value in state.items():
            assert not value.is_floating_point() or value.dtype == torch.float32, key
            assert bool(torch.isfinite(value).all()), key
            if key.endswith("running_var"):
                mean = state[key.replace("running_var", "running_mean")]
                assert bool((value >= 0.49 * mean**2).all())


def test_a_net_without_a_card_and_without_norms_is_served_too() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    live.make_live(module, input_size=(3, 20, 28))
    images = live.pictures(3, (20, 28), seed=9)
    assert live.sensitivity(module, images) < 1e-5


def test_residual_branches_are_quiet_and_streams_are_not() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = x + self.norm(self.conv(x)).reshape(x.shape)
            return out

    stream: Any = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    module: Any = nn.Sequential(stream, Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    live.make_live(module, input_size=(3, 16, 16))
    branch = module[1].norm.weight.detach()
    assert float(branch.max()) <= 1.5 * 0.3
    assert float(stream[1].weight.detach().min()) >= 0.5


@pytest.mark.parametrize("size_hw", [(7, 7), (33, 20), (64, 64)])
def test_pictures_are_pictures(size_hw: tuple[int, int]) -> None:
    made = live.pictures(6, size_hw, seed=3)
    assert made.shape == (6, 3, *size_hw)
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    assert torch.equal(made, live.pictures(6, size_hw, seed=3))
    assert float(made.std((1, 2, 3)).min()) > 0.02
