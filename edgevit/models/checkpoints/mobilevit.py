"""Know the keys of the authors' MobileViT files, version 1 (xxs, xs, s) and 2 (0.5 .. 2.0).

Stage i is ``layer_{i+1}``; every convolution with its norm is a ``block``. The versions differ inside the MobileViT
block and in the name of the classifier. The norm after the last transformer is one more entry of ``global_rep``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_STAGE = re.compile(r"stages\.(\d+)\.(\d+)\.(.+)")
_INVERTED = {"conv1_1x1": "exp_1x1", "conv2_kxk": "conv_3x3", "conv3_1x1": "red_1x1"}
_V1 = {
    "norm1": "pre_norm_mha.0", "attn.qkv": "pre_norm_mha.1.qkv_proj", "attn.proj": "pre_norm_mha.1.out_proj",
    "norm2": "pre_norm_ffn.0", "mlp.fc1": "pre_norm_ffn.1", "mlp.fc2": "pre_norm_ffn.4",
    "conv_kxk": "local_rep.conv_3x3", "conv_1x1": "local_rep.conv_1x1", "classifier": "classifier.fc",
}  # fmt: skip
_V2 = {
    "norm1": "pre_norm_attn.0",
    "attn.qkv_proj": "pre_norm_attn.1.qkv_proj.block.conv", "attn.out_proj": "pre_norm_attn.1.out_proj.block.conv",
    "norm2": "pre_norm_ffn.0", "mlp.fc1": "pre_norm_ffn.1.block.conv", "mlp.fc2": "pre_norm_ffn.3.block.conv",
    "conv_kxk": "local_rep.0", "conv_1x1": "local_rep.1", "classifier": "classifier.1",
}  # fmt: skip


def original_names(timm_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to timm's."""
    names = _V2 if any(".attn.qkv_proj." in key for key in timm_keys) else _V1

    def depth(block: str) -> int:
        start = f"{block}.transformer."
        return len({key.removeprefix(start).partition(".")[0] for key in timm_keys if key.startswith(start)})

    return {_original(key, names, depth): key for key in timm_keys}


def _original(key: str, names: dict[str, str], depth: Callable[[str], int]) -> str:
    if found := _STAGE.fullmatch(key):
        stage, block, rest = found[1], found[2], found[3]
        inside = _within_block(rest, names, lambda: depth(f"stages.{stage}.{block}"))
        return f"layer_{int(stage) + 1}.{block}.{inside}"
    for start, original in (("stem", "conv_1"), ("final_conv", "conv_1x1_exp")):
        if key.startswith(f"{start}."):
            return f"{original}.{_conv_and_norm(key.removeprefix(f'{start}.'))}"
    return key.replace("head.fc.", f"{names['classifier']}.")


def _within_block(rest: str, names: dict[str, str], depth: Callable[[], int]) -> str:
    part, _, tail = rest.partition(".")
    if part in _INVERTED:
        return f"block.{_INVERTED[part]}.{_conv_and_norm(tail)}"
    if part == "conv_kxk":
        return f"{names[part]}.{_conv_and_norm(tail)}"
    if part == "conv_1x1":
        return f"{names[part]}.block.conv.{tail}"
    if part == "norm":
        return f"global_rep.{depth()}.{tail}"
    if part == "transformer":
        index, _, inner = tail.partition(".")
        layer, _, kind = inner.rpartition(".")
        return f"global_rep.{index}.{names[layer]}.{kind}"
    return f"{part.replace('conv_fusion', 'fusion')}.{_conv_and_norm(tail)}"


def _conv_and_norm(rest: str) -> str:
    return f"block.{re.sub(r'^bn[.]', 'norm.', rest)}"
