"""Load made-up files in the authors' own format, of every family, and refuse those that do not fit.

The files are written here from the authors' published module trees (names and order only), not from the maps under
test: a small writer per family lists the keys, and forward rules of another kind (regular expressions from original to
timm, or the plain order of the tensors) find the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from edgevit.errors import WeightsError
from edgevit.models import checkpoints
from edgevit.models import live as live_recipe

_BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _norm(key: str) -> list[str]:
    return [f"{key}.{kind}" for kind in _BN]


def _conv(key: str, c: str = "c") -> list[str]:
    return [f"{key}.{c}.weight", *_norm(f"{key}.bn")]


def _heads(*names: str) -> list[str]:
    return [key for head in names for key in (*_norm(f"{head}.bn"), f"{head}.l.weight", f"{head}.l.bias")]


def levit_keys(depths: tuple[int, ...]) -> list[str]:
    keys = [key for n in (0, 2, 4, 6) for key in _conv(f"patch_embed.{n}")]
    n = 0
    for stage, depth in enumerate(depths):
        if stage:
            keys += [f"blocks.{n}.attention_biases", f"blocks.{n}.attention_bias_idxs"]
            keys += [*_conv(f"blocks.{n}.kv"), *_conv(f"blocks.{n}.q.1"), *_conv(f"blocks.{n}.proj.1")]
            keys += [*_conv(f"blocks.{n + 1}.m.0"), *_conv(f"blocks.{n + 1}.m.2")]
            n += 2
        for _ in range(depth):
            keys += [f"blocks.{n}.m.attention_biases", f"blocks.{n}.m.attention_bias_idxs"]
            keys += [*_conv(f"blocks.{n}.m.qkv"), *_conv(f"blocks.{n}.m.proj.1")]
            keys += [*_conv(f"blocks.{n + 1}.m.0"), *_conv(f"blocks.{n + 1}.m.2")]
            n += 2
    return keys + _heads("head", "head_dist")


def mobilevit_keys(version: int) -> list[str]:
    def block(key: str) -> list[str]:
        return [f"{key}.block.conv.weight", *_norm(f"{key}.block.norm")]

    def pair(key: str) -> list[str]:
        return [f"{key}.weight", f"{key}.bias"]

    def inverted(key: str) -> list[str]:
        return [k for part in ("exp_1x1", "conv_3x3", "red_1x1") for k in block(f"{key}.block.{part}")]

    first, second = ("conv_3x3", "conv_1x1") if version == 1 else ("0", "1")
    attention = "pre_norm_mha" if version == 1 else "pre_norm_attn"
    wrap = "" if version == 1 else ".block.conv"
    keys = block("conv_1")
    for layer, inverteds in ((1, 1), (2, 3 if version == 1 else 2)):
        keys += [k for j in range(inverteds) for k in inverted(f"layer_{layer}.{j}")]
    for layer, depth in ((3, 2), (4, 4), (5, 3)):
        here = f"layer_{layer}.1"
        keys += inverted(f"layer_{layer}.0")
        keys += [*block(f"{here}.local_rep.{first}"), f"{here}.local_rep.{second}.block.conv.weight"]
        for k in range(depth):
            rep = f"{here}.global_rep.{k}"
            keys += pair(f"{rep}.{attention}.0") + pair(f"{rep}.{attention}.1.qkv_proj{wrap}")
            keys += pair(f"{rep}.{attention}.1.out_proj{wrap}") + pair(f"{rep}.pre_norm_ffn.0")
            keys += pair(f"{rep}.pre_norm_ffn.1{wrap}") + pair(f"{rep}.pre_norm_ffn.{4 if version == 1 else 3}{wrap}")
        keys += pair(f"{here}.global_rep.{depth}") + block(f"{here}.conv_proj")
        keys += block(f"{here}.fusion") if version == 1 else []
    return keys + (block("conv_1x1_exp") + pair("classifier.fc") if version == 1 else pair("classifier.1"))


def _in_order(keys: list[str], module: nn.Module) -> dict[str, Tensor]:
    """Both nets were written down in the same order, so the n-th tensor of one is the n-th of the other."""
    values = iter(module.state_dict().values())
    made = {k: torch.zeros(4, 4, dtype=torch.long) if k.endswith("_idxs") else next(values) for k in keys}
    assert not list(values)
    return made


_FORWARD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "shvit": (
        (r"^blocks1\.", "stages.0.blocks."),
        (r"^blocks([23])\.0\.(\d)\.", r"stages.<\1>.downsample.\2."),
        (r"^blocks([23])\.1\.", r"stages.<\1>.downsample.2."),
        (r"^blocks([23])\.2\.0\.", r"stages.<\1>.downsample.3."),
        (r"^blocks([23])\.2\.1\.", r"stages.<\1>.downsample.4."),
        (r"^blocks([23])\.(\d+)\.", r"stages.<\1>.blocks.{\2}."),
    ),
    "efficientvit": (
        (r"^patch_embed\.0\.", "patch_embed.conv1."),
        (r"^patch_embed\.2\.", "patch_embed.conv2."),
        (r"^patch_embed\.4\.", "patch_embed.conv3."),
        (r"^patch_embed\.6\.", "patch_embed.conv4."),
        (r"^blocks1\.", "stages.0.blocks."),
        (r"^blocks([23])\.0\.", r"stages.<\1>.downsample.res1."),
        (r"^blocks([23])\.1\.", r"stages.<\1>.downsample.patchmerge."),
        (r"^blocks([23])\.2\.", r"stages.<\1>.downsample.res2."),
        (r"^blocks([23])\.(\d+)\.", r"stages.<\1>.blocks.{\2}."),
        (r"\.c\.", ".conv."),
        (r"^head\.l\.", "head.linear."),
    ),
    "efficientformerv2": (
        (r"^patch_embed\.0\.", "stem.conv1.conv."),
        (r"^patch_embed\.1\.", "stem.conv1.bn."),
        (r"^patch_embed\.3\.", "stem.conv2.conv."),
        (r"^patch_embed\.4\.", "stem.conv2.bn."),
        (r"^network\.0\.", "stages.0.blocks."),
        (r"^network\.2\.", "stages.1.blocks."),
        (r"^network\.4\.", "stages.2.blocks."),
        (r"^network\.6\.", "stages.3.blocks."),
        (r"^network\.1\.proj\.", "stages.1.downsample.conv.conv."),
        (r"^network\.1\.norm\.", "stages.1.downsample.conv.bn."),
        (r"^network\.3\.proj\.", "stages.2.downsample.conv.conv."),
        (r"^network\.3\.norm\.", "stages.2.downsample.conv.bn."),
        (r"^network\.5\.conv\.", "stages.3.downsample.conv.conv."),
        (r"^network\.5\.bn\.", "stages.3.downsample.conv.bn."),
        (r"^network\.5\.attn\.", "stages.3.downsample.attn."),
        (r"\.q\.local\.0\.", ".q.local."),
        (r"\.q\.proj\.0\.", ".q.proj.conv."),
        (r"\.q\.proj\.1\.", ".q.proj.bn."),
        (r"\.(q|k|v|v_local|stride_conv)\.0\.", r".\1.conv."),
        (r"\.(q|k|v|v_local|stride_conv)\.1\.", r".\1.bn."),
        (r"\.(token_mixer|attn)\.proj\.1\.", r".\1.proj.conv."),
        (r"\.(token_mixer|attn)\.proj\.2\.", r".\1.proj.bn."),
        (r"\.mlp\.(fc1|mid|fc2)\.", r".mlp.\1.conv."),
        (r"\.mlp\.norm1\.", ".mlp.fc1.bn."),
        (r"\.mlp\.mid_norm\.", ".mlp.mid.bn."),
        (r"\.mlp\.norm2\.", ".mlp.fc2.bn."),
        (r"\.layer_scale_(\d)$", r".ls\1.gamma"),
        (r"^dist_head\.", "head_dist."),
    ),
}


def _renamed(family: str, original: str) -> str:
    for pattern, replacement in _FORWARD[family]:
        original = re.sub(pattern, replacement, original)
    original = re.sub(r"<(\d+)>", lambda m: str(int(m[1]) - 1), original)
    return re.sub(r"\{(\d+)\}", lambda m: str(int(m[1]) - 3), original)


def shvit_keys(depths: tuple[int, ...]) -> list[str]:
    keys = [key for n in (0, 2, 4, 6) for key in _conv(f"patch_embed.{n}")]

    def ffn(key: str) -> list[str]:
        return [*_conv(f"{key}.m.pw1"), *_conv(f"{key}.m.pw2")]

    for stage, depth in enumerate(depths):
        here = f"blocks{stage + 1}"
        if stage:
            keys += [*_conv(f"{here}.0.0.m"), *ffn(f"{here}.0.1"), *_merging(f"{here}.1")]
            keys += [*_conv(f"{here}.2.0.m"), *ffn(f"{here}.2.1")]
        for j in range(depth):
            block = f"{here}.{j + (3 if stage else 0)}"
            keys += _conv(f"{block}.conv.m")
            if stage:
                keys += [f"{block}.mixer.m.pre_norm.weight", f"{block}.mixer.m.pre_norm.bias"]
                keys += [*_conv(f"{block}.mixer.m.qkv"), *_conv(f"{block}.mixer.m.proj.1")]
            keys += ffn(f"{block}.ffn")
    return keys + _heads("head")


def _merging(key: str) -> list[str]:
    squeeze = [f"{key}.se.{fc}.{kind}" for fc in ("fc1", "fc2") for kind in ("weight", "bias")]
    return [*_conv(f"{key}.conv1"), *_conv(f"{key}.conv2"), *squeeze, *_conv(f"{key}.conv3")]


def efficientvit_keys(depths: tuple[int, ...], heads: tuple[int, ...]) -> list[str]:
    keys = [key for n in (0, 2, 4, 6) for key in _conv(f"patch_embed.{n}")]

    def ffn(key: str) -> list[str]:
        return [*_conv(f"{key}.m.pw1"), *_conv(f"{key}.m.pw2")]

    for stage, (depth, nh) in enumerate(zip(depths, heads, strict=True)):
        here = f"blocks{stage + 1}"
        if stage:
            keys += [*_conv(f"{here}.0.0.m"), *ffn(f"{here}.0.1"), *_merging(f"{here}.1")]
            keys += [*_conv(f"{here}.2.0.m"), *ffn(f"{here}.2.1")]
        for j in range(depth):
            block = f"{here}.{j + (3 if stage else 0)}"
            keys += [*_conv(f"{block}.dw0.m"), *ffn(f"{block}.ffn0")]
            attn = f"{block}.mixer.m.attn"
            keys += [f"{attn}.attention_biases", f"{attn}.attention_bias_idxs"]
            keys += [k for part in ("qkvs", "dws") for h in range(nh) for k in _conv(f"{attn}.{part}.{h}")]
            keys += [*_conv(f"{attn}.proj.1"), *_conv(f"{block}.dw1.m"), *ffn(f"{block}.ffn1")]
    return keys + _heads("head")


def efficientformerv2_keys(depths: tuple[int, ...], attentions: int) -> list[str]:
    def pair(key: str) -> list[str]:
        return [f"{key}.weight", f"{key}.bias"]

    def seq(key: str, conv: int = 0) -> list[str]:
        return pair(f"{key}.{conv}") + _norm(f"{key}.{conv + 1}")

    def attention(key: str) -> list[str]:
        return [f"{key}.attention_biases", f"{key}.attention_bias_idxs"]

    keys = seq("patch_embed") + seq("patch_embed", 3)
    for stage, depth in enumerate(depths):
        for j in range(depth):
            block = f"network.{2 * stage}.{j}"
            if stage >= 2 and j > depth - 1 - attentions:
                mixer = f"{block}.token_mixer"
                keys += [f"{block}.layer_scale_1", *attention(mixer)]
                keys += seq(f"{mixer}.stride_conv") if stage == 2 else []
                keys += [k for part in ("q", "k", "v", "v_local") for k in seq(f"{mixer}.{part}")]
                keys += pair(f"{mixer}.talking_head1") + pair(f"{mixer}.talking_head2") + seq(f"{mixer}.proj", 1)
            keys += [f"{block}.layer_scale_2"]
            keys += [k for part in ("fc1", "fc2", "mid") for k in pair(f"{block}.mlp.{part}")]
            keys += [k for part in ("mid_norm", "norm1", "norm2") for k in _norm(f"{block}.mlp.{part}")]
        down = f"network.{2 * stage + 1}"
        if stage < 2:
            keys += pair(f"{down}.proj") + _norm(f"{down}.norm")
        elif stage == 2:
            keys += attention(f"{down}.attn") + pair(f"{down}.attn.q.local.0") + seq(f"{down}.attn.q.proj")
            keys += [k for part in ("k", "v", "v_local") for k in seq(f"{down}.attn.{part}")]
            keys += seq(f"{down}.attn.proj", 1) + pair(f"{down}.conv") + _norm(f"{down}.bn")
    return keys + _norm("norm") + pair("head") + pair("dist_head")


def _by_rules(family: str, keys: list[str], module: nn.Module) -> dict[str, Tensor]:
    own = module.state_dict()
    made = {}
    for key in keys:
        if key.endswith("_idxs"):
            made[key] = torch.zeros(4, 4, dtype=torch.long)
        else:
            value = own.pop(_renamed(family, key))
            made[key] = value[:, None, None] if "layer_scale" in key else value
    assert not own, f"the writer forgot {list(own)[:3]}"
    return made


def _original(name: str, module: nn.Module) -> dict[str, Tensor]:
    if name.startswith("levit"):
        made = _in_order(levit_keys((2, 3, 4) if name.endswith("128s") else (4, 4, 4)), module)
        # The authors' nets are linear ones; the convolution twins hold the same numbers in four dimensions.
        return {k: v[:, :, 0, 0] if k.startswith("blocks") and v.ndim == 4 else v for k, v in made.items()}
    if name.startswith("mobilevit"):
        return _in_order(mobilevit_keys(2 if name.startswith("mobilevitv2") else 1), module)
    if name.startswith("shvit"):
        return _by_rules("shvit", shvit_keys({"shvit_s1": (2, 4, 5), "shvit_s4": (4, 7, 6)}[name]), module)
    if name.startswith("efficientvit"):
        depths, heads = {"efficientvit_m0": ((1, 2, 3), (4, 4, 4)), "efficientvit_m5": ((1, 3, 4), (3, 3, 4))}[name]
        return _by_rules("efficientvit", efficientvit_keys(depths, heads), module)
    return _by_rules("efficientformerv2", efficientformerv2_keys((2, 2, 6, 4), 2), module)


_LIVE: dict[str, Any] = {}


def _live(name: str) -> Any:
    if name not in _LIVE:
        _LIVE[name] = timm.create_model(name)
        live_recipe.make_live(_LIVE[name], input_size=_LIVE[name].pretrained_cfg["input_size"])
    return _LIVE[name]


@pytest.fixture(scope="module", autouse=True)
def _few_pictures() -> Iterator[None]:
    """Calibrate on two pictures: alive is enough here, calm is tested elsewhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_recipe, "_PICTURES", 2)
        yield
    torch.set_num_threads(threads)
    _LIVE.clear()


def _blank(name: str) -> nn.Module:
    """Make a net quickly, without drawing the numbers that nobody will read."""
    with torch.device("meta"):
        module: nn.Module = timm.create_model(name)
    return module.to_empty(device="cpu")


def _logits(module: Any) -> Tensor:
    size = module.pretrained_cfg["input_size"]
    with torch.no_grad():
        out: Tensor = module(torch.randn(1, *size, generator=torch.Generator().manual_seed(5)))
    return out


@pytest.mark.parametrize(
    ("name", "fresh"),
    [
        ("levit_128s", "levit_128s"),
        ("levit_128s", "levit_conv_128s"),
        ("levit_conv_128s", "levit_128s"),
        ("mobilevit_xxs", "mobilevit_xxs"),
        ("mobilevitv2_050", "mobilevitv2_050"),
        ("shvit_s1", "shvit_s1"),
        ("efficientvit_m0", "efficientvit_m0"),
        ("efficientformerv2_s0", "efficientformerv2_s0"),
    ],
)
def test_an_original_file_gives_the_same_answers(name: str, fresh: str) -> None:
    live = _live(name)
    module = timm.create_model(fresh)
    checkpoints.load({"model": _original(name, live), "epoch": 299}, module, model_name=fresh)
    expected = _logits(live)
    difference = (_logits(module.eval()) - expected).abs().max() / expected.abs().max()
    assert difference <= 2e-6


@pytest.mark.parametrize("name", ["levit_192", "shvit_s4", "efficientvit_m5", "mobilevit_s", "mobilevitv2_200"])
def test_larger_sizes_fit_key_by_key(name: str) -> None:
    module = _blank(name)
    with torch.no_grad():  # every tensor its own numbers, so that a swap of two equal shapes shows
        for number, value in enumerate(module.state_dict().values()):
            value.fill_(number)
    converted = checkpoints.convert(_original(name, module), module, model_name=name)
    own = module.state_dict()
    assert set(converted) == set(own)
    assert all(torch.equal(converted[key], own[key]) for key in own)


@pytest.mark.parametrize("name", [f"efficientformerv2_{size}" for size in ("s1", "s2", "l")])
def test_every_efficientformer_key_has_an_original_of_its_own(name: str) -> None:
    with torch.device("meta"):
        keys = tuple(timm.create_model(name).state_dict())
    names = checkpoints.FAMILIES.load("efficientformerv2").original_names(keys)
    assert list(names.values()) == list(keys)
    assert len(names) == len(keys)
    assert all(_renamed("efficientformerv2", original) == key for original, key in names.items())


def test_flat_weights_of_pointwise_convolutions_are_unfolded() -> None:
    live = _live("shvit_s1")
    flat = {
        k: v.flatten(1) if v.ndim == 4 and v.shape[2:] == (1, 1) else v for k, v in _original("shvit_s1", live).items()
    }
    assert any(v.ndim == 2 and k.endswith("pw1.c.weight") for k, v in flat.items())
    module = timm.create_model("shvit_s1")
    checkpoints.load(flat, module, model_name="shvit_s1")
    assert torch.equal(_logits(module.eval()), _logits(live))


@pytest.mark.parametrize("name", ["levit_128s", "efficientvit_m0", "efficientformerv2_s0"])
def test_biases_cached_by_an_earlier_eval_run_do_not_survive_a_load(name: str) -> None:
    live = _live(name)
    module = timm.create_model(name).eval()
    before = _logits(module)
    checkpoints.load(_original(name, live), module, model_name=name)
    after = _logits(module)
    assert not torch.allclose(after, before)
    assert (after - _logits(live)).abs().max() <= 2e-6 * after.abs().max()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda sd: sd,
        lambda sd: {"state_dict": sd, "args": None},
        lambda sd: {"net": sd},
        lambda sd: {"model_ema": {f"module.{k}": v for k, v in sd.items()}},
        lambda sd: {"model": {"state_dict": {f"module.{k}": v for k, v in sd.items()}}},
        lambda sd: {f"_orig_mod.module.{k}": v for k, v in sd.items()},
        lambda sd: {"state_dict_ema": sd, "state_dict": {k: v * 0 for k, v in sd.items()}},
        lambda sd: {k: v for k, v in sd.items() if "num_batches" not in k},
    ],
)
@pytest.mark.parametrize("own_keys", [True, False])
def test_wrappers_of_trainers_are_taken_off(wrap: Any, own_keys: bool) -> None:
    live = _live("efficientvit_m0")
    tensors = live.state_dict() if own_keys else _original("efficientvit_m0", live)
    converted = checkpoints.convert(wrap(dict(tensors)), _blank("efficientvit_m0"), model_name="efficientvit_m0")
    own = live.state_dict()
    assert all(torch.equal(converted[k], own[k]) for k in own if "num_batches" not in k)


def test_half_precision_files_become_what_the_net_holds() -> None:
    live = _live("shvit_s1")
    half = {k: v.half() if v.is_floating_point() else v for k, v in live.state_dict().items()}
    converted = checkpoints.convert(half, live, model_name="shvit_s1")
    assert converted["head.l.weight"].dtype == torch.float32


def test_one_head_serves_a_net_with_two() -> None:
    live = _live("levit_128s")
    single = {k: v for k, v in _original("levit_128s", live).items() if not k.startswith("head_dist")}
    module = timm.create_model("levit_128s")
    checkpoints.load(single, module, model_name="levit_128s")
    assert torch.equal(module.head.linear.weight, module.head_dist.linear.weight)


def test_another_number_of_classes_names_the_option() -> None:
    original = _original("levit_128s", _live("levit_128s"))
    with pytest.raises(WeightsError, match=r"classifier has 1000 classes.*made with 7.*--num-classes 1000"):
        checkpoints.convert(original, timm.create_model("levit_128s", num_classes=7), model_name="levit_128s")


def test_a_file_of_another_size_is_refused_with_both_shapes() -> None:
    original = _original("shvit_s1", _live("shvit_s1"))
    with pytest.raises(
        WeightsError, match=r"authors' keys.*of another shape: patch_embed\.0\.c\.weight \(16, 3, 3, 3\)"
    ) as caught:
        checkpoints.convert(original, _blank("shvit_s3"), model_name="shvit_s3")
    assert "instead of (24, 3, 3, 3)" in str(caught.value)
    assert "missing:" in str(caught.value)


@pytest.mark.parametrize("other", ["mobilevit_xxs", "levit_128s", "efficientvit_m0", "efficientformerv2_s0"])
def test_a_file_of_another_family_is_refused(other: str) -> None:
    original = _original("shvit_s1", _live("shvit_s1"))
    with pytest.raises(WeightsError, match=rf"does not fit {other} .*missing: .*unexpected: "):
        checkpoints.convert(original, _blank(other), model_name=other)


@pytest.mark.parametrize("name", ["levit_128s", "mobilevit_xxs"])
def test_the_order_of_the_keys_means_nothing_and_every_key_counts(name: str) -> None:
    live = _live(name)
    original = _original(name, live)
    backwards = dict(reversed(list(original.items())))
    converted = checkpoints.convert(backwards, live, model_name=name)
    assert all(torch.equal(converted[k], v) for k, v in live.state_dict().items())
    lacking = {k: v for k, v in original.items() if k != list(original)[3]}
    with pytest.raises(WeightsError, match=f"missing: {re.escape(list(original)[3])}"):
        checkpoints.convert(lacking, live, model_name=name)
    with pytest.raises(WeightsError, match="unexpected: surplus"):
        checkpoints.convert({**original, "surplus": torch.zeros(1)}, live, model_name=name)


def test_a_file_without_tensors_says_what_it_holds() -> None:
    with pytest.raises(WeightsError, match=r"no tensors by name\. It holds 'epoch', 'lr'"):
        checkpoints.convert({"epoch": 3, "lr": 0.1}, _live("shvit_s1"), model_name="shvit_s1")


def test_timms_own_filter_serves_what_no_map_knows() -> None:
    module = timm.create_model("vit_tiny_patch16_224", img_size=96, depth=1)
    larger = timm.create_model("vit_tiny_patch16_224", img_size=128, depth=1).state_dict()
    converted = checkpoints.convert(larger, module, model_name="timm/vit_tiny_patch16_224")
    assert converted["pos_embed"].shape == (1, 37, 192)


def test_names_find_their_family() -> None:
    families = {
        name: checkpoints.family(name) for name in ("levit_conv_128s", "timm/mobilevitv2_050.cvnets_in1k", "resnet18")
    }
    assert list(families.values()) == ["levit", "mobilevitv2", None]
    assert checkpoints.family("efficientvit_b0") is None
