"""Teach features by what a correlation filter makes of them, since that is what the runtime does with them.

The filter of ``runtime/tasks/track_filter.py`` is a closed form, so a gradient goes through it: learn it on the
template's features, let it answer on the search crop's, and say how far its peak is from the target
(Valmadre et al., CFNet, arXiv:1704.06036; Wang et al., DCFNet, arXiv:1704.04057).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WIDTH = 0.1
_NOISE = 1e-2
_SHARP = 24.0
"""The filter's peak is about 0.5 high; stretched by this it stands out among 576 places."""
_GOAL_CELLS = 0.7
"""Spread of the wanted peak, in cells: the nearest few places share it."""


def filter_loss(template: Tensor, search: Tensor, boxes_cxcywh: Tensor, present: Tensor) -> Tensor:
    """Return the cross entropy of the filter's answers (N, C, s, s) with where the targets are.

    ``template`` (N, C, t, t) shows the target in its middle at the same scale, a quarter of the search crop's side.
    """
    answer = answered(template.float(), search.float())
    side = search.shape[-1]
    goal = peaks(boxes_cxcywh[:, :2] * side - 0.5, side, _GOAL_CELLS).flatten(1)
    goal = goal / goal.sum(1, keepdim=True).clamp(min=1e-6)
    wrong = -(goal * (answer.flatten(1) * _SHARP).log_softmax(1)).sum(1)
    least = (goal * goal.clamp(min=1e-9).log()).sum(1)
    share = present.float() / present.sum().clamp(min=1)
    loss: Tensor = ((wrong + least) * share).sum()
    return loss


def answered(template: Tensor, search: Tensor) -> Tensor:
    """Return the map (N, s, s) of a filter that was learnt on the template."""
    side = search.shape[-1]
    border = (side - template.shape[-1]) // 2
    learnt = torch.fft.rfft2(F.pad(_windowed(template), (border,) * 4))
    seen = torch.fft.rfft2(_windowed(search))
    middle = torch.full((1, 2), (side - 1) / 2, device=search.device)
    wanted = torch.fft.rfft2(peaks(middle, side, max(0.5, _WIDTH * side / 4)))
    power = learnt.abs().square().sum(1)
    floor = _NOISE * power.mean((1, 2), keepdim=True)
    spectrum = (learnt.conj() * seen).sum(1) * wanted / (power + floor)
    answer: Tensor = torch.fft.irfft2(spectrum, s=(side, side))
    return answer


def peaks(at_xy: Tensor, side: int, spread: float) -> Tensor:
    """Return maps (N, side, side) with a round peak of height 1 at each place (N, 2), in cells."""
    line = torch.arange(side, device=at_xy.device, dtype=torch.float32)
    x = (line - at_xy[:, :1]).square()
    y = (line - at_xy[:, 1:]).square()
    return torch.exp(-0.5 * (x[:, None] + y[:, :, None]) / spread**2)


def _windowed(features: Tensor) -> Tensor:
    side = features.shape[-1]
    line = torch.hann_window(side + 2, periodic=False, device=features.device)[1:-1]
    centred = features - features.mean((2, 3), keepdim=True)
    return centred * (line[:, None] * line[None])
