"""Say in torch what MIL's operations with windows and borders compute: convolutions, pools, padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
Values = Mapping[str, Any]


class Written(Protocol):
    """Say what a function may read of its node."""

    def plain(self, name: str, default: Any = None) -> Any:
        """Return an argument that is written in the program as plain Python numbers, else the default."""


Function = Callable[[Values, Written], Any]


def _borders(node: Written, size: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return padding as (before, after) of each dimension in turn, strides and dilations."""
    count, kind = len(kernel), node.plain("pad_type", "valid")
    strides, dilations = (node.plain(name) or [1] * count for name in ("strides", "dilations"))
    if kind in ("valid", "custom"):
        return (node.plain("pad") if kind == "custom" else None) or [0] * 2 * count, strides, dilations
    pad: list[int] = []
    for length, width, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        total = max(0, (-(-length // stride) - 1) * stride + (width - 1) * dilation + 1 - length)
        less, more = total // 2, total - total // 2
        pad += [less, more] if kind == "same" else [more, less]
    return pad, strides, dilations


def _turned(pad: Sequence[int]) -> list[int]:
    """Turn MIL's order of padding, first dimension first, into torch's."""
    return [n for at in range(len(pad) - 2, -1, -2) for n in pad[at : at + 2]]


def _even(pad: Sequence[int]) -> bool:
    return list(pad[::2]) == list(pad[1::2])


def conv(a: Values, node: Written) -> Tensor:
    """Convolve; the weights are (out, in / groups, ...)."""
    x, weight = a["x"], a["weight"]
    pad, strides, dilations = _borders(node, x.shape[2:], weight.shape[2:])
    if not _even(pad):
        x, pad = F.pad(x, _turned(pad)), [0] * len(pad)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[weight.dim() - 3]
    return convolve(x, weight, a.get("bias"), strides, pad[::2], dilations, node.plain("groups", 1))


def conv_transpose(a: Values, node: Written) -> Tensor:
    """Convolve backwards, and cut what the program asks for out of the whole."""
    x, weight = a["x"], a["weight"]
    size = _size_backwards(node, x.shape[2:], weight.shape[2:])
    pad, strides, dilations = _borders(node, size, weight.shape[2:])
    spread = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[weight.dim() - 3]
    whole = spread(x, weight, None, strides, 0, 0, node.plain("groups", 1), dilations)
    # What the program asks for may reach beyond the last input's footprint: that part is zero.
    lack = [max(0, first + n - have) for first, n, have in zip(pad[::2], size, whole.shape[2:], strict=True)]
    whole = F.pad(whole, _turned([n for after in lack for n in (0, after)])) if any(lack) else whole
    cut = [slice(None)] * 2 + [slice(first, first + n) for first, n in zip(pad[::2], size, strict=True)]
    bias = a.get("bias")
    return whole[tuple(cut)] if bias is None else whole[tuple(cut)] + bias.reshape(-1, *[1] * len(size))


def _size_backwards(node: Written, size: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return the size that is written, else the one that a convolution backwards has by its padding."""
    if (written := node.plain("output_shape")) is not None:
        return [int(n) for n in written[2:]]
    kind = node.plain("pad_type", "valid")
    strides, dilations = (node.plain(name) or [1] * len(kernel) for name in ("strides", "dilations"))
    if kind.startswith("same"):
        return [n * stride for n, stride in zip(size, strides, strict=True)]
    pad = (node.plain("pad") if kind == "custom" else None) or [0] * 2 * len(kernel)
    whole = ((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(size, strides, kernel, dilations, strict=True))
    return [n - before - after for n, before, after in zip(whole, pad[::2], pad[1::2], strict=True)]


def _pooled(a: Values, node: Written) -> tuple[Tensor, list[int], list[int], list[int], bool]:
    x, kernel = a["x"], node.plain("kernel_sizes")
    pad, strides, _ = _borders(node, x.shape[2:], kernel)
    return x, kernel, strides, pad, bool(node.plain("ceil_mode", False))


def avg_pool(a: Values, node: Written) -> Tensor:
    """Take means, with or without the padding in them."""
    x, kernel, strides, pad, ceil = _pooled(a, node)
    pool: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    exclude = bool(node.plain("exclude_padding_from_average", False))
    if _even(pad) and all(2 * n <= k for n, k in zip(pad[::2], kernel, strict=True)):
        mean: Tensor = pool(x, kernel, strides, pad[::2], ceil, not exclude)
        return mean
    mean = pool(F.pad(x, _turned(pad)), kernel, strides, 0, ceil)
    covered = pool(F.pad(torch.ones_like(x), _turned(pad)), kernel, strides, 0, ceil)
    return mean / covered if exclude else mean


def max_pool(a: Values, node: Written) -> Tensor:
    """Take the largest; padding never is."""
    x, kernel, strides, pad, ceil = _pooled(a, node)
    pool: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    most: Tensor = pool(F.pad(x, _turned(pad), value=float("-inf")), kernel, strides, 0, 1, ceil)
    return most


def pad(a: Values, node: Written) -> Tensor:
    """Add borders: a constant, or what the edge mirrors or repeats."""
    mode, borders = node.plain("mode", "constant"), _turned(node.plain("pad"))
    if mode == "constant":
        return F.pad(a["x"], borders, value=float(node.plain("constant_val", 0.0)))
    while len(borders) > 2 and borders[-2:] == [0, 0]:  # torch mirrors the last dimensions only
        borders = borders[:-2]
    return F.pad(a["x"], borders, mode=mode)
