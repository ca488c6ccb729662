"""List, for each target, which of timm's modules is swapped for what. The order of the lines says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from timm.layers import Attention
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
from torch import nn

from edgevit.errors import UnsupportedError

from .attention import plain_attention
from .efficientformer import downsample_attention, talking_attention
from .efficientvit import cascade, windows
from .ghostnet import attended_ghost
from .levit import levit_attention, levit_downsample
from .litemla import mean_attention
from .mobilevit import token_mobilevit
from .mobilevitv2 import separable_mobilevit
from .neural_engine import channel_levit, channel_mobilevit
from .shvit import single_head
from .twins import grouped_attention

Builder = Callable[[nn.Module], "nn.Module | None"]
Rules = Mapping[type[nn.Module], Builder]

_EVERYWHERE: Rules = {
    mobilevit.MobileVitBlock: partial(token_mobilevit, norm="native"),
    mobilevit.MobileVitV2Block: partial(separable_mobilevit, norm="native"),
    efficientvit_msra.LocalWindowAttention: windows,
    efficientvit_msra.CascadedGroupAttention: cascade,
    shvit.SHSA: partial(single_head, norm="native"),
    levit.Attention: levit_attention,
    levit.AttentionDownsample: levit_downsample,
    efficientformer_v2.Attention2d: talking_attention,
    efficientformer_v2.Attention2dDownsample: downsample_attention,
    efficientvit_mit.LiteMLA: mean_attention,
    twins.LocallyGroupedAttn: grouped_attention,
}

RULES: Mapping[str, Rules] = {
    "onnx": _EVERYWHERE,
    "openvino": _EVERYWHERE,
    "tensorrt": _EVERYWHERE,
    "litert": {
        **_EVERYWHERE,
        mobilevit.MobileVitBlock: partial(token_mobilevit, norm="mean", apart=True),
        mobilevit.MobileVitV2Block: partial(separable_mobilevit, norm="mean"),
        efficientvit_msra.CascadedGroupAttention: partial(cascade, rows=True),
        shvit.SHSA: partial(single_head, norm="mean", rows=True),
        levit.AttentionDownsample: partial(levit_downsample, strided=True),
        efficientformer_v2.Attention2dDownsample: partial(downsample_attention, whole=True),
        Attention: plain_attention,
        ghostnet.GhostModuleV2: attended_ghost,
    },
    "coreml": {
        **_EVERYWHERE,
        levit.Levit: channel_levit,
        levit.LevitDistilled: channel_levit,
        mobilevit.MobileVitBlock: channel_mobilevit,
        mobilevit.MobileVitV2Block: partial(separable_mobilevit, norm="native", first=True),
        Attention: plain_attention,
        ghostnet.GhostModuleV2: attended_ghost,
    },
    "executorch": {
        **_EVERYWHERE,
        mobilevit.MobileVitBlock: partial(token_mobilevit, norm="linear"),
        mobilevit.MobileVitV2Block: partial(separable_mobilevit, norm="linear"),
        shvit.SHSA: partial(single_head, norm="linear"),
        Attention: plain_attention,
        ghostnet.GhostModuleV2: attended_ghost,
    },
}


def rules_for(target: str) -> Rules:
    """Return the rules of a target: the name of a format."""
    if target not in RULES:
        raise UnsupportedError(f"There are no rewrites for '{target}'; the targets are {', '.join(RULES)}.")
    return RULES[target]
