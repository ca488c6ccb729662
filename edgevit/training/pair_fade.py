"""Fade what lies outside of the box in a template, as ``spec.track.faded`` says: half as far from mid grey.

Which part of a person or a car is meant, its outline does not tell; the box does. It lies in the crop's middle, since a
template is cut around it, and covers a quarter of the crop whatever its shape.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .pair_motion import TEMPLATE_FACTOR


def fade(templates: Tensor, ratio: Tensor) -> Tensor:
    """Take templates (N, 3, T, T) of grey levels and their boxes' width / height (N,); return them faded."""
    side = templates.shape[-1]
    away = (torch.arange(side, device=templates.device) + 0.5 - side / 2).abs()
    half = side / (2 * TEMPLATE_FACTOR)
    columns = away < (half * ratio.sqrt())[:, None]
    rows = away < (half / ratio.sqrt())[:, None]
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, templates, torch.div(templates, 2, rounding_mode="floor") + 64)
