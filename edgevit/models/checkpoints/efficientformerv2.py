"""Know the keys of the authors' EfficientFormerV2 files (S0, S1, S2, L).

``network`` holds stages at even places and downsamplings at odd ones. Convolution and batch norm are neighbours in a
list there (``q.0``, ``q.1``) or two attributes (``fc1``, ``norm1``); timm wraps each pair (``q.conv``, ``q.bn``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_STEM = {"conv1.conv": "0", "conv1.bn": "1", "conv2.conv": "3", "conv2.bn": "4"}
_MLP = {
    "fc1.conv": "fc1",
    "fc1.bn": "norm1",
    "mid.conv": "mid",
    "mid.bn": "mid_norm",
    "fc2.conv": "fc2",
    "fc2.bn": "norm2",
}
_BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)")
_DOWN = re.compile(r"stages\.(\d+)\.downsample\.(.+)")


def original_names(timm_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to timm's."""
    attentive = {
        found[1] for found in (re.match(r"stages\.(\d+)\.downsample\.attn\.", key) for key in timm_keys) if found
    }
    return {_original(key, attentive): key for key in timm_keys}


def _original(key: str, attentive: set[str]) -> str:
    if found := _BLOCK.fullmatch(key):
        return f"network.{2 * int(found[1])}.{found[2]}.{_within_block(found[3])}"
    if found := _DOWN.fullmatch(key):
        return f"network.{2 * int(found[1]) - 1}.{_within_downsample(found[2], found[1] in attentive)}"
    if found := re.fullmatch(r"stem\.(conv\d\.\w+)\.(\w+)", key):
        return f"patch_embed.{_STEM[found[1]]}.{found[2]}"
    return key.replace("head_dist.", "dist_head.")


def _within_block(rest: str) -> str:
    if found := re.fullmatch(r"ls(\d)\.gamma", rest):
        return f"layer_scale_{found[1]}"
    if found := re.fullmatch(r"mlp\.(\w+\.\w+)\.(\w+)", rest):
        return f"mlp.{_MLP[found[1]]}.{found[2]}"
    return re.sub(r"^token_mixer\.(.+)$", lambda found: f"token_mixer.{_attention(found[1])}", rest)


def _within_downsample(rest: str, attentive: bool) -> str:
    if rest.startswith("attn."):
        return f"attn.{_attention(rest.removeprefix('attn.'))}"
    conv, norm = ("conv.", "bn.") if attentive else ("proj.", "norm.")
    return rest.replace("conv.conv.", conv).replace("conv.bn.", norm)


def _attention(rest: str) -> str:
    rest = re.sub(r"^proj\.conv\.", "proj.1.", rest)  # proj opens with its activation
    rest = re.sub(r"^proj\.bn\.", "proj.2.", rest)
    rest = re.sub(r"^q\.local\.", "q.local.0.", rest)
    return rest.replace(".conv.", ".0.").replace(".bn.", ".1.")
