"""Fold the input's normalisation into the first convolution, so that a camera's uint8 levels go straight in.

Principle: ``(u / 255 - mean) / std`` is affine a channel, and so is the convolution behind it. The scale 1 / (255 std)
always moves into the weights. The offset moves into the bias only where nothing is padded: a padded border holds zeros
AFTER normalisation, which is the mean level before it, another number a channel. There one subtraction of the mean
level stays in front of the convolution; with it the border is exact. A net that touches its input before its first
convolution, or twice, is normalised explicitly, in its graph.

Shapes: takes levels (N, 3, h, w) of dtype uint8 or float, answers what the module answers.
The normalised input to the plain module is the oracle: tests/kernels/test_rewrites_normalisation.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .fuse import fuse

_WHITE = 255.0
_SIZE_HW = (224, 224)


class FromLevels(nn.Module):
    """Take grey levels 0..255, subtract and scale where that could not be folded, and ask the module."""

    def __init__(self, module: nn.Module, offset: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.module = module
        self.dtype = next((p.dtype for p in module.parameters()), torch.float32)
        self.register_buffer("offset", None if offset is None else offset.to(self.dtype).view(1, -1, 1, 1))
        self.register_buffer("scale", None if scale is None else scale.to(self.dtype).view(1, -1, 1, 1))
        self.offset: Tensor | None
        self.scale: Tensor | None

    def forward(self, levels: Tensor) -> Any:
        """Answer for levels (N, 3, h, w)."""
        x = levels.to(self.dtype)
        if self.offset is not None:
            x = x - self.offset
        if self.scale is not None:
            x = x * self.scale
        return self.module(x)


def fold_normalisation(
    module: nn.Module, mean: Sequence[float], std: Sequence[float], *, size_hw: tuple[int, int] | None = None
) -> nn.Module:
    """Return an equal module that takes uint8 levels; the given one stays as it is.

    ``mean`` and ``std`` are of pixels from 0 to 1, as in ``ImageSpec``. ``size_hw`` is a size that the net takes, to
    find its first convolution by one run; without it timm's card is asked.
    """
    fused = fuse(module)
    offset = _WHITE * torch.tensor(list(mean), dtype=torch.float64)
    scale = 1 / (_WHITE * torch.tensor(list(std), dtype=torch.float64))
    stem = first_convolution(fused, size_hw or _size_of(fused), channels=len(offset))
    if stem is None:
        return FromLevels(fused, offset if bool(offset.any()) else None, scale).eval()
    weight = stem.weight.detach().double() * scale.view(1, -1, 1, 1)
    _set(stem, "weight", weight)
    if not bool(offset.any()):
        return FromLevels(fused).eval()
    if not _pads_zeros(stem):
        bias = 0 if stem.bias is None else stem.bias.detach().double()
        _set(stem, "bias", bias - (weight * offset.view(1, -1, 1, 1)).sum((1, 2, 3)))
        return FromLevels(fused).eval()
    return FromLevels(fused, offset).eval()


def first_convolution(module: nn.Module, size_hw: tuple[int, int], channels: int = 3) -> nn.Conv2d | None:
    """Return the convolution that reads the input, if it alone does and is an ordinary one."""
    parameter = next(module.parameters(), None)
    image = torch.zeros(1, channels, *size_hw, dtype=torch.float32 if parameter is None else parameter.dtype)
    watch = _Watch(image)
    handles = [
        handle
        for part in module.modules()
        if isinstance(part, nn.Conv2d)
        for handle in (part.register_forward_pre_hook(watch.enter), part.register_forward_hook(watch.leave))
    ]
    try:
        with torch.no_grad(), watch:
            module(image)
    finally:
        for handle in handles:
            handle.remove()
    if watch.others or len(watch.readers) != 1:
        return None
    stem = watch.readers[0]
    assert isinstance(stem, nn.Conv2d)
    return stem if stem.groups == 1 and watch.calls[stem] == 1 else None


class _Watch(TorchFunctionMode):
    """See who reads one tensor: which convolutions, and whether anything else does."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.readers: list[nn.Module] = []
        self.calls: Counter[nn.Module] = Counter()
        self.others = False
        self._image = image
        self._inside = False

    def enter(self, part: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls[part] += 1
        if args and args[0] is self._image:
            self.readers.append(part)
            self._inside = True

    def leave(self, _part: nn.Module, _args: tuple[Any, ...], _output: Any) -> None:
        self._inside = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        told = getattr(func, "__name__", "") in ("__get__", "size", "dim")  # the shape is no part of the picture
        if not self._inside and not told and any(value is self._image for value in (*args, *(kwargs or {}).values())):
            self.others = True
        return func(*args, **(kwargs or {}))


def _pads_zeros(stem: nn.Conv2d) -> bool:
    """Tell whether zeros may come in at the border; a subclass may pad by itself (timm's ``same`` padding)."""
    if type(stem) is not nn.Conv2d:
        return True
    return stem.padding_mode == "zeros" and stem.padding not in ((0, 0), "valid")


def _size_of(module: nn.Module) -> tuple[int, int]:
    card = getattr(module, "pretrained_cfg", None) or {}
    size = card.get("input_size")
    return (int(size[1]), int(size[2])) if size else _SIZE_HW


def _set(part: nn.Module, name: str, value: Tensor) -> None:
    dtype = next(part.parameters()).dtype
    setattr(part, name, nn.Parameter(value.to(dtype), requires_grad=False))
