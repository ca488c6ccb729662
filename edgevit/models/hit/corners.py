"""Find a box's two corners: a tower of convolutions each, a probability for every cell, and its mean place.

The mean over a softmax (soft-argmax) is finer than a cell. A cell's place is its first pixel, not its middle, as in
the authors' head; the towers learn the half cell.
Source: Yan et al., STARK (arXiv:2103.17154), whose head HiT took over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNormRelu(nn.Sequential):
    """Be a 3x3 convolution with its norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU())

    @torch.no_grad()
    def fuse(self) -> nn.Module:
        """Return the same without the norm (called by ``kernels.rewrites.fuse``)."""
        conv, norm, act = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        return nn.Sequential(fuse_conv_bn_eval(conv, norm), act)


class CornerHead(nn.Module):
    """Answer a map (N, C, side, side) with a box and the two maps that it was read from."""

    def __init__(self, channels_in: int, channels: int, side: int) -> None:
        super().__init__()
        for corner in ("tl", "br"):
            wide = channels_in
            for n, narrow in enumerate((channels, channels // 2, channels // 4, channels // 8), 1):
                self.add_module(f"conv{n}_{corner}", ConvNormRelu(wide, narrow))
                wide = narrow
            self.add_module(f"conv5_{corner}", nn.Conv2d(wide, 1, 1))
        self.side = side
        rows, columns = torch.meshgrid(*2 * [torch.arange(side) / side], indexing="ij")
        self.register_buffer("places", torch.stack((columns.flatten(), rows.flatten()), 1), persistent=False)
        self.places: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N, 4) cx, cy, w, h in shares of the picture, and the corners' probabilities (N, side, side)."""
        first, second = (self._probabilities(x, corner) for corner in ("tl", "br"))
        top_left, bottom_right = first @ self.places, second @ self.places
        box = torch.cat(((top_left + bottom_right) / 2, bottom_right - top_left), 1)
        return box, first.reshape(-1, self.side, self.side), second.reshape(-1, self.side, self.side)

    def _probabilities(self, x: Tensor, corner: str) -> Tensor:
        for n in range(1, 6):
            x = self.get_submodule(f"conv{n}_{corner}")(x)
        return x.flatten(1).softmax(1)
