"""Fold one affine map into the next: scales, shifts and centring move into the weights beside them.

Principle: ``W(g x + b) + c = (W g) x + (W b + c)``: a norm's gain and shift, a score's scale and the subtraction of a
mean all vanish into the linear layer or 1x1 convolution next to them. Everything is folded in float64 and rounded once.
Shapes: weights are (out, in), biases (out,); a 1x1 convolution's weight is read as (out, in) too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Affine:
    """Hold ``x -> weight x + bias`` in float64, channels to channels."""

    weight: Tensor
    bias: Tensor
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, layer: nn.Module) -> Affine:
        """Read a linear layer or a 1x1 convolution."""
        assert isinstance(layer, (nn.Linear, nn.Conv2d))
        weight = layer.weight.detach().double().flatten(1)
        bias = torch.zeros(len(weight)).double() if layer.bias is None else layer.bias.detach().double()
        return cls(weight, bias, layer.weight.dtype)

    def after(self, norm: nn.Module) -> Affine:
        """Take over the gain and shift of the norm in front; what is left of the norm has neither."""
        assert isinstance(norm, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d))
        gain = 1.0 if norm.weight is None else norm.weight.detach().double()
        shift = torch.zeros(self.weight.shape[1]).double() if norm.bias is None else norm.bias.detach().double()
        return Affine(self.weight * gain, self.bias + self.weight @ shift, self.dtype)

    def centred(self) -> Affine:
        """Answer with the mean over the output channels already subtracted."""
        return Affine(self.weight - self.weight.mean(0), self.bias - self.bias.mean(), self.dtype)

    def scaled(self, factor: float, stop: int | None = None) -> Affine:
        """Answer ``factor`` times as much, in all channels or those before ``stop``."""
        factors = torch.ones_like(self.bias)
        factors[:stop] = factor
        return Affine(self.weight * factors[:, None], self.bias * factors, self.dtype)

    def rows(self, start: int, stop: int) -> Affine:
        """Answer only the channels from ``start`` to ``stop``."""
        return Affine(self.weight[start:stop], self.bias[start:stop], self.dtype)

    def picked(self, order: Tensor) -> Affine:
        """Answer the channels of ``order``, in that order."""
        return Affine(self.weight[order], self.bias[order], self.dtype)

    def split(self, *sizes: int) -> tuple[Affine, ...]:
        """Answer in parts, of so many channels each."""
        ends = torch.tensor(sizes).cumsum(0).tolist()
        return tuple(self.rows(end - size, end) for size, end in zip(sizes, ends, strict=True))

    def linear(self) -> nn.Linear:
        """Be a linear layer over the last axis."""
        made = nn.Linear(self.weight.shape[1], self.weight.shape[0], dtype=self.dtype)
        self._fill(made, self.weight)
        return made

    def pointwise(self) -> nn.Conv2d:
        """Be a 1x1 convolution."""
        made = nn.Conv2d(self.weight.shape[1], self.weight.shape[0], 1, dtype=self.dtype)
        self._fill(made, self.weight[:, :, None, None])
        return made

    def _fill(self, made: nn.Linear | nn.Conv2d, weight: Tensor) -> None:
        assert made.bias is not None
        with torch.no_grad():
            made.weight.copy_(weight)
            made.bias.copy_(self.bias)


def is_pointwise(layer: nn.Module) -> bool:
    """Tell whether a layer is an ordinary 1x1 convolution: what ``Affine.of`` reads."""
    if type(layer) is not nn.Conv2d:
        return False
    plain = layer.kernel_size == (1, 1) and layer.stride == (1, 1) and layer.padding in ((0, 0), "valid")
    return plain and layer.groups == 1
