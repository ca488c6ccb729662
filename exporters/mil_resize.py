"""Say in torch what MIL's operations compute that make a picture larger or smaller.

Each asks for points along an axis and takes, or mixes, what lies beside them. The points of every mode are those of
coremltools' operation reference (resize_bilinear and upsample_bilinear); how a nearest neighbour is chosen is written
nowhere, so it is known only where a picture grows by a whole factor and every rule says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from edgevit.errors import EngineError

from .mil_windows import Values, Written

Tensor = torch.Tensor

_AXES = (("height", -2), ("width", -1))


def by_factor(a: Values) -> tuple[int, int]:
    """Return the height and width that the factors ask for, as PyMIL rounds them: in fp32, downwards."""
    sizes = (a["x"].shape[axis] * a.get(f"scale_factor_{name}", torch.tensor(1)) for name, axis in _AXES)
    height, width = (int(torch.floor(size)) for size in sizes)
    return height, width


def by_size(a: Values) -> tuple[int, int]:
    """Return the height and width that are written."""
    height, width = (int(a.get(f"target_size_{name}", 1)) for name, _ in _AXES)
    return height, width


def resize_bilinear(a: Values, node: Written) -> Tensor:
    """Resize to a size, sampling as the mode says."""
    return _mixed(a["x"], by_size(a), node.plain("sampling_mode", "DEFAULT"))


def upsample_bilinear(a: Values, node: Written) -> Tensor:
    """Resize by factors; where points lie is said by two switches, of which the second follows the first."""
    aligned = bool(node.plain("align_corners", True))
    centred = bool(node.plain("half_pixel_centers", not aligned))
    if aligned and centred:
        raise EngineError("corners cannot be aligned and pixels centred at once")
    mode = "STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS" if centred else "DEFAULT"
    return _mixed(a["x"], by_factor(a), mode)


def resize_nearest_neighbor(a: Values, node: Written) -> Tensor:
    """Repeat pixels until the size is reached."""
    return _repeated(a["x"], by_size(a))


def upsample_nearest_neighbor(a: Values, node: Written) -> Tensor:
    """Repeat pixels by the factors."""
    return _repeated(a["x"], by_factor(a))


def _repeated(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    for (name, axis), size in zip(_AXES, size_hw, strict=True):
        if size % x.shape[axis]:
            raise EngineError(f"which neighbour is the nearest is not known for the {name} {x.shape[axis]} to {size}")
        x = x.repeat_interleave(size // x.shape[axis], axis)
    return x


def _mixed(x: Tensor, size_hw: tuple[int, int], mode: str) -> Tensor:
    if mode not in _POINTS:
        raise EngineError(f"the sampling mode '{mode}' is not known; known are {', '.join(_POINTS)}")
    for (_, axis), size in zip(_AXES, size_hw, strict=True):
        last = x.shape[axis] - 1
        points = _POINTS[mode](x.shape[axis], size).clamp(0, last)
        below = points.floor().long()
        share = (points - below).to(x.dtype)
        share = share[:, None] if axis == -2 else share
        above = x.index_select(axis, (below + 1).clamp(max=last))
        x = x.index_select(axis, below) * (1 - share) + above * share
    return x


def _index(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float64)


def _aligned(have: int, want: int) -> Tensor:
    return _index(want) * ((have - 1) / max(want - 1, 1))


def _middle_of_one(have: int, want: int) -> Tensor:
    return _aligned(have, want) if want > 1 else torch.tensor([(have - 1) / 2], dtype=torch.float64)


def _offset(have: int, want: int) -> Tensor:
    return (_index(want) + 0.5) * (max(1, have - 1) / want)


_POINTS: Mapping[str, Callable[[int, int], Tensor]] = {
    "STRICT_ALIGN_CORNERS": _aligned,
    "ALIGN_CORNERS": _middle_of_one,
    "DEFAULT": lambda have, want: _index(want) * (have / want),
    "OFFSET_CORNERS": _offset,
    "UNALIGN_CORNERS": lambda have, want: (_index(want) + 0.5) * (have / want) - 0.5,
}
"""Mode -> where the points lie, counted in pixels of the input, before they are kept inside it."""
