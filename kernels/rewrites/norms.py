"""Normalise without gain and shift (``affine.py`` moves those away), in the form that a target runs well.

Principle: ``native`` is the framework's own op, one kernel where an engine has it. Where an engine takes it apart, two
equal forms cost less. LayerNorm: when everything that writes into a residual stream is centred beforehand (a linear
map, folded into the weights), the mean is zero already and the norm is ``x / sqrt(mean(x^2) + eps)``
(Ashkboos et al., SliceGPT, arXiv:2401.15024, section 3.2). GroupNorm of one group: means over (2, 3), then a 1x1
convolution with equal weights over the channels, all of which XNNPACK takes; its mean over other axes it leaves behind.
Shapes: tokens (..., C); maps (N, C, H, W).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NormForm = Literal["native", "mean", "linear"]


class TokenNorm(nn.Module):
    """Normalise the last axis. All forms but ``native`` want tokens whose mean is zero."""

    def __init__(self, old: nn.LayerNorm, form: NormForm) -> None:
        super().__init__()
        self.channels = old.normalized_shape[-1]
        self.eps = old.eps
        self.form = form
        if form == "linear":
            self.register_buffer("share", _share(old, (1, self.channels)))
            self.share: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "native":
            return F.layer_norm(x, (self.channels,), eps=self.eps)
        square = x * x
        # ExecuTorch's XNNPACK partitioner leaves a mean over the last axis behind, but takes a linear layer.
        mean = F.linear(square, self.share) if self.form == "linear" else square.mean(-1, keepdim=True)
        return x * torch.rsqrt(mean + self.eps)


class MapNorm(nn.Module):
    """Normalise a whole map, as GroupNorm of one group does: (N, C, H, W), or with ``last`` rows (N, count, C)."""

    def __init__(self, old: nn.GroupNorm, form: NormForm, *, last: bool = False) -> None:
        super().__init__()
        self.eps = old.eps
        self.form = form
        self.last = last
        if form == "linear":
            self.register_buffer("share", _share(old, (1, old.num_channels, *(() if last else (1, 1)))))
            self.share: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "native":
            return F.group_norm(x, 1, eps=self.eps)
        away = x - self._mean(x)
        return away * torch.rsqrt(self._mean(away * away) + self.eps)

    def _mean(self, x: Tensor) -> Tensor:
        if self.form == "mean":
            return x.mean((1, 2) if self.last else (1, 2, 3), keepdim=True)
        if self.last:
            return F.linear(x.mean(1, keepdim=True), self.share)
        return F.conv2d(x.mean((2, 3), keepdim=True), self.share)


def _share(old: nn.LayerNorm | nn.GroupNorm, shape: tuple[int, ...]) -> Tensor:
    """Return the weights of a mean over the channels."""
    dtype = torch.float32 if old.weight is None else old.weight.dtype
    return torch.full(shape, 1 / shape[1], dtype=dtype)
