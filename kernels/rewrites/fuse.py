"""Fold BatchNorm and parallel branches into the convolutions beside them, once, before any export.

Principle: in eval mode ``BN(Wx + b)`` is one affine map, so its scale moves into W and its shift into b; a depthwise
residual ``x + DW(x)`` adds 1 to the kernel's centre. Source: Ding et al., RepVGG (arXiv:2101.03697); timm's modules
bring their own ``fuse`` or ``reparameterize``, which is used here, and the two pairs without one are folded by type.

Converters cannot do all of it later: none folds LeViT's BatchNorm1d on (B * N, C), 48 extra layers in LeViT-128S.
The module as it was is the oracle: tests/kernels/test_rewrites.py.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers import BatchNormAct2d, ConvNormAct
from timm.models.efficientformer_v2 import ConvNorm
from timm.utils.model import reparameterize_model
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_PAIRS = (ConvNormAct, ConvNorm)
"""timm's modules that are a convolution ``conv`` with a norm ``bn`` right behind it, and have no ``fuse``."""


def fuse(module: nn.Module) -> nn.Module:
    """Return an equal module with everything folded; the given one stays as it is."""
    fused: nn.Module = copy.deepcopy(module)
    fused.eval()  # not chained: some of timm's modules forget to return themselves from train()
    fused = reparameterize_model(fused, inplace=True)
    for part in fused.modules():
        if type(part) in _PAIRS:
            _fold_pair(part)
    fused.eval()
    return fused


def is_folded(pair: nn.Module) -> bool:
    """Tell whether such a pair is only its convolution by now, and perhaps an activation behind it."""
    return type(pair) in _PAIRS and not isinstance(pair.bn, _BatchNorm) and getattr(pair, "aa", None) is None


@torch.no_grad()
def _fold_pair(pair: Any) -> None:
    """Fold ``pair.bn`` into ``pair.conv``; what is left of the norm is its activation, if it has one."""
    conv, norm = pair.conv, pair.bn
    left = _left_of(norm)
    if left is None or not isinstance(conv, nn.Conv2d):
        return
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = 1 / torch.sqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    bias = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    bias = bias * gain if norm.bias is None else bias * gain + norm.bias.double()
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter((conv.weight.double() * gain.view(-1, 1, 1, 1)).to(dtype))
    conv.bias = nn.Parameter(bias.to(dtype))
    pair.bn = left


def _left_of(norm: nn.Module) -> nn.Module | None:
    """Return what stays when a norm is folded away, or None where it cannot be: other norms, or no statistics."""
    if type(norm) is nn.BatchNorm2d and norm.running_var is not None:
        return nn.Identity()
    if type(norm) is BatchNormAct2d and norm.running_var is not None and isinstance(norm.drop, nn.Identity):
        assert isinstance(norm.act, nn.Module)
        return norm.act
    return None
