"""Compare boxes with true ones: the share that both have, and the success that trackers are published with.

Boxes are x, y, width, height in the last axis of an array; the axes before it follow numpy's rules of broadcasting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]

THRESHOLDS: Shares = np.arange(21) / 20
"""The overlaps at which success is counted: 0, 0.05 ... 1."""


def overlaps(one_xywh: Any, other_xywh: Any) -> Shares:
    """Return what both boxes have in common as a share of what either has: 1 is the same box, 0 none of it."""
    one, other = np.asarray(one_xywh, np.float64), np.asarray(other_xywh, np.float64)
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = one[..., 2:].prod(-1) + other[..., 2:].prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def success_auc(shares: Shares) -> float:
    """Return the mean over the thresholds of the share of frames that overlap by more (OTB)."""
    return float((shares[:, None] > THRESHOLDS).mean())
