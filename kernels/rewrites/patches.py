"""Regroup the pixels of a channels-last map by patches or windows, in transposes of rows and never above rank four.

Principle: one transpose of rank six (batch, row, y, column, x, channel) is two of rank four, because what is not moved
can be read as one axis; each moves whole runs of channels, so it is a copy of rows. GPU delegates take no tensor above
rank four, and the transpose of single floats that timm's channels-first form asks for takes ONNX Runtime 10 times
longer.
Shapes: maps are (N, H, W, C). The batch is always the axis that is left open, so it may be dynamic.
"""

from __future__ import annotations

from torch import Tensor


def by_place(x: Tensor, patch_hw: tuple[int, int]) -> Tensor:
    """Return (N * h * w, H/h * W/w, C): for each place (y, x) inside a patch, that pixel of every patch."""
    _, height, width, channels = x.shape
    (h, w), rows = patch_hw, height // patch_hw[0]
    x = x.reshape(-1, rows, h, width * channels).permute(0, 2, 1, 3)
    x = x.reshape(-1, rows * (width // w), w, channels).permute(0, 2, 1, 3)
    return x.reshape(-1, rows * (width // w), channels)


def from_places(x: Tensor, patch_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """Return the map (N, H, W, C) that ``by_place`` took apart."""
    channels = x.shape[-1]
    (h, w), (height, width) = patch_hw, size_hw
    x = x.reshape(-1, w, (height // h) * (width // w), channels).permute(0, 2, 1, 3)
    x = x.reshape(-1, h, height // h, width * channels).permute(0, 2, 1, 3)
    return x.reshape(-1, height, width, channels)


def by_window(x: Tensor, window: int) -> Tensor:
    """Return (N * H/window * W/window, window, window, C): the windows of each map, row by row."""
    _, _, width, channels = x.shape
    x = x.reshape(-1, window, width // window, window * channels).permute(0, 2, 1, 3)
    return x.reshape(-1, window, window, channels)


def from_windows(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return the map (N, H, W, C) that ``by_window`` took apart."""
    _, window, _, channels = x.shape
    height, width = size_hw
    x = x.reshape(-1, width // window, window, window * channels).permute(0, 2, 1, 3)
    return x.reshape(-1, height, width, channels)


def by_place_first(x: Tensor, patch_hw: tuple[int, int]) -> Tensor:
    """Return (N, C, h * w, H/h * W/w) of a map (N, C, H, W): as ``by_place``, channels first."""
    _, channels, height, width = x.shape
    (h, w), rows = patch_hw, height // patch_hw[0]
    x = x.reshape(-1, rows, h, width).permute(0, 2, 1, 3)
    x = x.reshape(-1, rows * (width // w), w).permute(0, 2, 1)
    return x.reshape(-1, channels, h * w, rows * (width // w))


def from_places_first(x: Tensor, patch_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """Return the map (N, C, H, W) that ``by_place_first`` took apart."""
    channels = x.shape[1]
    (h, w), (height, width) = patch_hw, size_hw
    x = x.reshape(-1, w, (height // h) * (width // w)).permute(0, 2, 1)
    x = x.reshape(-1, h, height // h, width).permute(0, 2, 1, 3)
    return x.reshape(-1, channels, height, width)
