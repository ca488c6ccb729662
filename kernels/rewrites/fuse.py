"""Fold BatchNorm and parallel branches into the convolutions beside them, once, before any export.

Principle: in eval mode ``BN(Wx + b)`` is one affine map, so its scale moves into W and its shift into b; a depthwise
residual ``x + DW(x)`` adds 1 to the kernel's centre. Source: Ding et al., RepVGG (arXiv:2101.03697); timm's modules
bring their own ``fuse`` or ``reparameterize``, which is used here.

Converters cannot do all of it later: none folds LeViT's BatchNorm1d on (B * N, C), 48 extra layers in LeViT-128S.
The module as it was is the oracle: tests/kernels/test_fuse.py.
"""

from __future__ import annotations

import copy

from timm.utils.model import reparameterize_model
from torch import nn


def fuse(module: nn.Module) -> nn.Module:
    """Return an equal module with everything folded; the given one stays as it is."""
    fused: nn.Module = reparameterize_model(copy.deepcopy(module).eval(), inplace=True)
    return fused.eval()
