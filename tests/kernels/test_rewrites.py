"""Prove each rewrite equal to timm's module: whole models with live weights, blocks in float64, graphs without the
operators that a target refuses. timm's module as it is, is the oracle."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Attention, ConvNormAct, LayerNorm2d
from timm.models import (
    efficientformer_v2,
    efficientvit_mit,
    efficientvit_msra,
    ghostnet,
    levit,
    mobilevit,
    shvit,
    twins,
)
from timm.models.byobnet import LayerFn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevit.errors import UnsupportedError
from edgevit.kernels.rewrites import fuse, rewrite
from edgevit.kernels.rewrites.rewrite import swap
from edgevit.kernels.rewrites.table import RULES, Rules
from edgevit.models import create_model
from edgevit.models.live import make_live
from edgevit.registry import SMALLEST

TARGETS = sorted(RULES)
KERNELS = (5, 3, 3)
GATHERS = ("aten.index.Tensor", "aten.gather.default")


@functools.cache
def live(name: str) -> tuple[nn.Module, Tensor]:
    """Return a live model and two smooth pictures."""
    model = create_model(name, "random")
    size = model.spec.image.size_hw
    rough = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return model.module, (nn.functional.interpolate(rough, size, mode="bilinear") - 0.45) / 0.25


def stirred(module: nn.Module) -> nn.Module:
    """Return a block in float64, with weights and statistics that leave nothing out.

    It is fused first: timm's own ``fuse`` makes float32 of everything. Whole models prove that step.
    """
    generator = torch.Generator().manual_seed(1)
    module = fuse(module).double()
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if not value.is_floating_point():
            continue
        drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        positive = name.endswith(("running_var", "gamma")) or (("norm" in name or ".bn" in name) and "weight" in name)
        value.data.copy_(0.5 + drawn.abs() if positive else 0.3 * drawn)
    module.train()  # drops what attention cached
    module.eval()
    return module


def difference(module: nn.Module, other: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        ours, theirs = other(x), module(x)
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def kinds(module: nn.Module) -> set[type[nn.Module]]:
    return {type(part) for part in module.modules()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_every_family_answers_the_same_for_every_target(name: str) -> None:
    module, x = live(name)
    for target in TARGETS:
        made = rewrite(module, target)
        left = {type(part) for part in made.modules() if part is not made}  # a whole net may keep its class
        assert not left & set(RULES[target]), "a module of timm's is left that the table swaps"
        assert difference(module, made, x) <= 3e-6, target


@pytest.mark.parametrize("target", TARGETS)
def test_a_live_model_answers_the_same(target: str) -> None:
    module, x = live("shvit_s1")
    made = rewrite(module, target)
    assert not kinds(made) & set(RULES[target])
    assert difference(module, made, x) <= 3e-6


def layers() -> LayerFn:
    return LayerFn(conv_norm_act=functools.partial(ConvNormAct, act_layer=nn.SiLU), act=nn.SiLU)


def mobile_block(depth: int, kind: Any = mobilevit.MobileVitBlock) -> nn.Module:
    made: nn.Module
    options = {"transformer_depth": depth, "patch_size": 2, "layers": layers()}
    if kind is mobilevit.MobileVitBlock:
        made = kind(8, transformer_dim=12, num_heads=4, **options)
    else:
        made = kind(8, bottle_ratio=1.5, mlp_ratio=2.0, **options)
    return made


@settings(max_examples=12)
@given(
    target=st.sampled_from(TARGETS),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    batch=st.integers(1, 3),
    depth=st.integers(0, 2),
    kind=st.sampled_from([mobilevit.MobileVitBlock, mobilevit.MobileVitV2Block]),
)
def test_mobilevit_blocks_at_any_size(
    target: str, size: tuple[int, int], batch: int, depth: int, kind: type[nn.Module]
) -> None:
    module = stirred(mobile_block(depth, kind))
    made = rewrite(module, target)
    assert kind not in kinds(made)
    x = torch.randn(batch, 8, *size, dtype=torch.float64)
    assert difference(module, made, x) <= 1e-11


@settings(max_examples=10)
@given(target=st.sampled_from(TARGETS), size=st.tuples(st.integers(1, 9), st.integers(1, 9)), batch=st.integers(1, 3))
def test_shvit_mixer_at_any_size(target: str, size: tuple[int, int], batch: int) -> None:
    module = stirred(shvit.SHSA(12, 4, 6))
    x = torch.randn(batch, 12, *size, dtype=torch.float64)
    assert difference(module, rewrite(module, target), x) <= 1e-11


@settings(max_examples=10)
@given(target=st.sampled_from(TARGETS), size=st.tuples(st.integers(3, 9), st.integers(3, 9)), batch=st.integers(1, 3))
def test_efficientvit_windows_at_any_size(target: str, size: tuple[int, int], batch: int) -> None:
    module = stirred(
        efficientvit_msra.LocalWindowAttention(
            12, 4, 3, attn_ratio=1, resolution=9, window_resolution=3, kernels=(5, 3, 3)
        )
    )
    made = rewrite(module, target)
    assert efficientvit_msra.CascadedGroupAttention not in kinds(made), "the part inside is swapped too"
    x = torch.randn(batch, 12, *size, dtype=torch.float64)
    assert difference(module, made, x) <= 1e-11


LEVIT = [
    levit.Attention(12, 4, 3, attn_ratio=2, resolution=(4, 5), act_layer=nn.Hardswish),
    levit.Attention(12, 4, 3, attn_ratio=2, resolution=(4, 5), act_layer=nn.Hardswish, use_conv=True),
    levit.AttentionDownsample(12, 16, 4, 3, resolution=(5, 4), act_layer=nn.Hardswish),
    levit.AttentionDownsample(12, 16, 4, 3, resolution=(5, 4), act_layer=nn.Hardswish, use_conv=True),
    levit.AttentionDownsample(12, 16, 4, 3, resolution=(5, 4), act_layer=nn.Hardswish, use_pool=True),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("old", LEVIT, ids=["rows", "maps", "rows, fewer", "maps, fewer", "rows, pooled"])
@pytest.mark.parametrize("batch", [1, 3])
def test_levit_attention(old: nn.Module, target: str, batch: int) -> None:
    module = stirred(old)
    made = rewrite(module, target)
    assert type(made) is not type(old)
    height, width = old.resolution  # type: ignore[misc]
    maps = bool(old.use_conv)
    shape = (batch, 12, height, width) if maps else (batch, height * width, 12)
    assert difference(module, made, torch.randn(*shape, dtype=torch.float64)) <= 1e-11


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("old", "size"),
    [
        (efficientformer_v2.Attention2d(12, 4, 3, attn_ratio=2, resolution=(5, 4)), (5, 4)),
        (efficientformer_v2.Attention2d(12, 4, 3, attn_ratio=2, resolution=(6, 8), stride=2), (6, 8)),
        (efficientformer_v2.Attention2dDownsample(12, 4, 3, attn_ratio=2, resolution=(5, 4), out_dim=16), (5, 4)),
    ],
    ids=["whole", "strided", "fewer"],
)
def test_efficientformer_attention(old: nn.Module, size: tuple[int, int], target: str) -> None:
    module = stirred(old)
    made = rewrite(module, target)
    assert type(made) is not type(old)
    assert difference(module, made, torch.randn(2, 12, *size, dtype=torch.float64)) <= 1e-11


@settings(max_examples=10)
@given(target=st.sampled_from(TARGETS), size=st.tuples(st.integers(1, 14), st.integers(1, 14)), batch=st.integers(1, 3))
def test_linear_attention_at_any_size(target: str, size: tuple[int, int], batch: int) -> None:
    module = stirred(efficientvit_mit.LiteMLA(16, 12, dim=4, scales=(3, 5), norm_layer=(None, nn.BatchNorm2d)))
    assert isinstance(module, efficientvit_mit.LiteMLA)
    module.double()._attn = functools.partial(in_double, module.eps)
    made = rewrite(module, target)
    assert type(made) is not type(module)
    assert difference(module, made, torch.randn(batch, 16, *size, dtype=torch.float64)) <= 1e-9


def in_double(eps: float, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Do what LiteMLA does in float32."""
    sums = q @ (k.transpose(-1, -2) @ v)
    return sums[..., :-1] / (sums[..., -1:] + eps)


@settings(max_examples=10)
@given(size=st.tuples(st.integers(2, 15), st.integers(2, 15)), batch=st.integers(1, 3))
def test_ghost_attention_at_any_size(size: tuple[int, int], batch: int) -> None:
    module = stirred(ghostnet.GhostModuleV2(6, 10))
    made = rewrite(module, "litert")
    assert type(made) is not type(module)
    assert difference(module, made, torch.randn(batch, 6, *size, dtype=torch.float64)) <= 1e-11


@settings(max_examples=10)
@given(target=st.sampled_from(TARGETS), size=st.tuples(st.integers(1, 9), st.integers(1, 9)), batch=st.integers(1, 3))
def test_twins_windows_at_any_size(target: str, size: tuple[int, int], batch: int) -> None:
    module = stirred(twins.LocallyGroupedAttn(12, 3, ws=3))
    made = rewrite(module, target)
    assert type(made) is not type(module)
    x = torch.randn(batch, size[0] * size[1], 12, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(made(x, size), module(x, size), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("target", [t for t in TARGETS if Attention in RULES[t]])
@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_equals_the_fused_one(target: str, masked: bool) -> None:
    module = stirred(Attention(12, 3, qkv_bias=True))
    made = rewrite(module, target)
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    mask = torch.rand(7, 7, dtype=torch.float64) if masked else None
    with torch.no_grad():
        torch.testing.assert_close(made(x, attn_mask=mask), module(x, attn_mask=mask), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("target", ["coreml", "onnx"])
@pytest.mark.parametrize("down", ["subsample", "pool"])
@pytest.mark.parametrize("kind", [levit.Levit, levit.LevitDistilled])
def test_a_small_levit_channels_first(target: str, down: str, kind: type[levit.Levit]) -> None:
    options = {"embed_dim": (16, 24), "depth": (1, 1), "num_heads": (2, 3), "down_op": down}
    module = kind(img_size=(64, 96), key_dim=8, num_classes=10, **options)
    make_live(module, input_size=(3, 64, 96))
    made = rewrite(module, target)
    rows = [part for part in made.modules() if isinstance(part, nn.Linear)]
    assert (len(rows) <= 2) == (target == "coreml"), "only the heads are linear layers"
    assert difference(module, made, torch.rand(2, 3, 64, 96)) <= 3e-6


def test_the_given_module_stays_as_it_is() -> None:
    module, _ = live("shvit_s1")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    inside = kinds(module)
    rewrite(module, "onnx")
    assert kinds(module) == inside
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    "odd",
    [
        Attention(12, 3, qk_norm=True, norm_layer=nn.LayerNorm),
        shvit.SHSA(12, 4, 6, norm_layer=LayerNorm2d),
        nn.MultiheadAttention(12, 3),
    ],
    ids=["norms of q and k", "another norm", "not timm's"],
)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_covered_is_left_alone(odd: nn.Module, target: str) -> None:
    made = rewrite(nn.Sequential(odd), target)
    assert type(made[0]) is type(odd)  # type: ignore[index]


def test_a_norm_without_statistics_is_left_alone() -> None:
    module = mobile_block(1).eval()
    module.conv_proj.bn.running_var = None  # type: ignore[union-attr]
    assert type(rewrite(module, "onnx")) is mobilevit.MobileVitBlock


def test_a_part_in_two_places_stays_one_part() -> None:
    shared = stirred(shvit.SHSA(12, 4, 6))
    made = rewrite(nn.ModuleList([shared, nn.Sequential(shared), shared]), "onnx")
    assert made[0] is made[1][0] is made[2]  # type: ignore[index]


def test_swap_goes_by_exact_type() -> None:
    class Mine(nn.Linear):
        pass

    rules: Rules = {nn.Linear: lambda old: nn.Identity()}
    made = swap(nn.Sequential(nn.Linear(2, 2), Mine(2, 2)), rules)
    assert [type(part) for part in made] == [nn.Identity, Mine]  # type: ignore[attr-defined]


def test_an_unknown_target_is_told_the_known_ones() -> None:
    with pytest.raises(UnsupportedError, match=r"no rewrites for 'tflite'; the targets are onnx, .*coreml"):
        rewrite(nn.Identity(), "tflite")


def operators(module: nn.Module, x: Tensor) -> tuple[set[str], int]:
    """Return the operators of the traced graph without composites, and the highest rank of a tensor in it."""
    program = torch.export.export(module.requires_grad_(False), (x,), strict=False).run_decompositions({})
    names, rank = set(), 0
    for node in program.graph.nodes:
        if node.op == "call_function":
            names.add(str(node.target))
            value = node.meta.get("val")
            rank = max(rank, value.ndim) if isinstance(value, Tensor) else rank
    return names, rank


def tiny(name: str) -> tuple[nn.Module, Tensor]:
    """Return a model of the family with the weights that timm draws: only its graph is looked at."""
    size = 256 if "mobilevit" in name else 224
    return timm.create_model(name, pretrained=False).eval(), torch.zeros(1, 3, size, size)


def blocks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Return one small block of each kind, with an input of batch two."""
    window = efficientvit_msra.LocalWindowAttention(
        12, 4, 3, attn_ratio=1, resolution=9, window_resolution=3, kernels=KERNELS
    )
    return {
        "mobilevit": (mobile_block(1), torch.zeros(2, 8, 6, 4)),
        "mobilevitv2": (mobile_block(1, mobilevit.MobileVitV2Block), torch.zeros(2, 8, 6, 4)),
        "efficientvit": (window, torch.zeros(2, 12, 9, 9)),
        "shvit": (shvit.SHSA(12, 4, 6), torch.zeros(2, 12, 6, 4)),
        "levit": (LEVIT[0], torch.zeros(2, 20, 12)),
        "levit, maps": (LEVIT[3], torch.zeros(2, 12, 5, 4)),
        "efficientformer": (
            efficientformer_v2.Attention2d(12, 4, 3, attn_ratio=2, resolution=(6, 8), stride=2),
            torch.zeros(2, 12, 6, 8),
        ),
        "vit": (Attention(12, 3), torch.zeros(2, 5, 12)),
    }


def check_graph(module: nn.Module, x: Tensor, target: str) -> None:
    names, rank = operators(rewrite(module, target), x)
    assert not names.intersection(GATHERS), names
    assert "aten.scaled_dot_product_attention.default" not in names
    assert rank <= 4
    assert not {n for n in names if "unbind" in n or "repeat" in n}
    if target == "executorch":
        assert not {n for n in names if "split" in n or "chunk" in n or "group_norm" in n}, names


@pytest.mark.parametrize("name", sorted(blocks()))
@pytest.mark.parametrize("target", ["litert", "executorch", "coreml"])
def test_a_block_has_no_gather_no_high_rank_and_no_fused_attention(name: str, target: str) -> None:
    check_graph(*blocks()[name], target)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SMALLEST, "deit_tiny_patch16_224"])
def test_a_model_has_no_gather_no_high_rank_and_no_fused_attention(name: str) -> None:
    for target in ("litert", "executorch", "coreml"):
        check_graph(*tiny(name), target)


@pytest.mark.parametrize("name", sorted(blocks()))
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_the_batch_may_stay_open(name: str, target: str) -> None:
    module, x = blocks()[name]
    made = rewrite(module, target).requires_grad_(False)
    batch = {0: torch.export.Dim("batch", min=1, max=8)}
    program = torch.export.export(made, (x,), dynamic_shapes=(batch,), strict=False)
    with torch.no_grad():
        assert program.module()(x.repeat(2, *(1 for _ in x.shape[1:]))).shape[0] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_fuse_leaves_no_batch_norm_in_the_families(name: str) -> None:
    left = [part for part, module in fuse(tiny(name)[0]).named_modules() if isinstance(module, _BatchNorm)]
    behind_a_sum = ["norm"] if name == "efficientformerv2_s0" else []
    assert left == behind_a_sum
