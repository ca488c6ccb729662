"""Run Twins' attention inside windows on windows that stand along the batch, with nothing above rank four.

Principle: timm keeps the windows as an axis of their own, so that attention gets tensors of rank five and cutting the
map is a transpose of rank six. torch's ONNX exporter takes attention of rank four alone ("only 4D query, key, and value
are supported"), Core ML nothing above rank five. Windows do not see each other: along the batch they are the same.
Not measured: the other form does not convert.
Source: timm's twins (Chu et al., arXiv:2104.13840). Shapes: tokens (N, H * W, C).
"""

from __future__ import annotations

import torch.nn.functional as F
from timm.models.twins import LocallyGroupedAttn
from torch import Tensor, nn

from .affine import Affine
from .patches import by_window, from_windows


class GroupedAttention(nn.Module):
    """Be a LocallyGroupedAttn."""

    def __init__(self, old: LocallyGroupedAttn) -> None:
        super().__init__()
        self.heads, self.window = old.num_heads, old.ws
        q, k, v = Affine.of(old.qkv).split(*3 * [old.dim])
        self.q, self.k, self.v = q.scaled(old.scale).linear(), k.linear(), v.linear()
        self.out = old.proj

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Take and give the tokens of a map of this size (H, W)."""
        height, width = size
        window, channels = self.window, x.shape[2]
        below, right = -height % window, -width % window
        x = x.reshape(-1, height, width, channels)
        if below or right:
            x = F.pad(x, (0, 0, 0, right, 0, below))
        x = by_window(x, window).reshape(-1, window * window, channels)
        shape = (-1, window * window, self.heads, channels // self.heads)
        q, k, v = (part(x).reshape(shape) for part in (self.q, self.k, self.v))
        scores = q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1)
        mixed = (scores.softmax(-1) @ v.permute(0, 2, 1, 3)).permute(0, 2, 1, 3)
        x = from_windows(mixed.reshape(-1, window, window, channels), (height + below, width + right))
        out: Tensor = self.out(x[:, :height, :width].reshape(-1, height * width, channels))
        return out


def grouped_attention(old: nn.Module) -> nn.Module:
    """Build attention inside windows."""
    assert isinstance(old, LocallyGroupedAttn)
    return GroupedAttention(old)
