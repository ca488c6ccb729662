"""Say how wrong a tracker's answer is: its box, the maps of its corners, its score, and what its features match.

The corner maps are taught cell by cell: the true corner, spread over the four cells around it so that their mean is
exact. That teaches far sooner than the box does, which reaches the maps only through their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_SHARP = 16.0
"""By how much a likeness of features, at most 1, is stretched before it competes with the others."""


@dataclass(frozen=True)
class Weights:
    """Weigh the parts of the loss; the first two are the authors'."""

    l1: float = 5.0
    giou: float = 2.0
    corners: float = 1.0
    score: float = 0.5
    match: float = 0.5
    filter: float = 0.5


def tracking_loss(answer: tuple[Tensor, ...], boxes_cxcywh: Tensor, present: Tensor, weights: Weights) -> Tensor:
    """Return the loss of (box, top left, bottom right, score …); absent targets teach the score alone."""
    box, top_left, bottom_right, score = answer[:4]
    side = top_left.shape[1]
    share = present.float() / present.sum().clamp(min=1)
    true = _seen(boxes_cxcywh, side)
    mine = _xyxy(box)
    near = (mine - true).abs().mean(1)
    maps = _surprise(top_left, true[:, :2] * side) + _surprise(bottom_right, true[:, 2:] * side)
    of_box = weights.l1 * near + weights.giou * (1 - giou(mine, true)) + weights.corners * maps / 2
    doubt = F.binary_cross_entropy_with_logits(score.flatten(), present.float())
    loss: Tensor = (of_box * share).sum() + weights.score * doubt
    return loss


def matching_loss(template: Tensor, search: Tensor, at: Tensor, boxes_cxcywh: Tensor, present: Tensor) -> Tensor:
    """Return how hard the target is to find by its mean feature alone, among all places of all search crops.

    ``template`` (N, C, t, t) and ``search`` (N, C, s, s) are features of length 1 at most, ``at`` (N, 4) the box in the
    template. Each target competes with every place of its own crop, and with the targets of the other pairs.
    """
    inside_first, inside = _inside(at, template.shape[-1]), _inside(boxes_cxcywh, search.shape[-1])
    mine = F.normalize(torch.einsum("nchw,nhw->nc", template, inside_first), dim=1)
    here = torch.einsum("nc,nchw->nhw", mine, search).flatten(1) * _SHARP
    goal = inside.flatten(1)
    own = -(goal * here.log_softmax(1)).sum(1)
    found = F.normalize(torch.einsum("nchw,nhw->nc", search, inside), dim=1)
    others = (mine @ found.T) * _SHARP
    apart = F.cross_entropy(others, torch.arange(len(mine), device=mine.device), reduction="none")
    share = present.float() / present.sum().clamp(min=1)
    # Less what no answer could do better: places inside of the box are all equally right.
    least = (goal * goal.clamp(min=1e-9).log()).sum(1)
    loss: Tensor = ((own + least + apart) * share).sum()
    return loss


def giou(one_xyxy: Tensor, other_xyxy: Tensor) -> Tensor:
    """Return the generalised IoU of (N, 4) with (N, 4) (Rezatofighi et al., arXiv:1902.09630)."""
    shared, union = _areas(one_xyxy, other_xyxy)
    low = torch.minimum(one_xyxy[:, :2], other_xyxy[:, :2])
    high = torch.maximum(one_xyxy[:, 2:], other_xyxy[:, 2:])
    around = (high - low).clamp(min=0).prod(1).clamp(min=1e-7)
    return shared / union - (around - union) / around


def iou(one_cxcywh: Tensor, other_cxcywh: Tensor) -> Tensor:
    """Return the intersection over the union of (N, 4) with (N, 4)."""
    shared, union = _areas(_xyxy(one_cxcywh), _xyxy(other_cxcywh))
    return shared / union


def _areas(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    extent = torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])
    shared = extent.clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (one, other)]
    return shared, (areas[0] + areas[1] - shared).clamp(min=1e-7)


def _xyxy(box: Tensor) -> Tensor:
    return torch.cat((box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2), 1)


def _seen(boxes_cxcywh: Tensor, side: int) -> Tensor:
    """Return the corners as far as the maps reach: a corner's last place is the last cell's first pixel."""
    return _xyxy(boxes_cxcywh).clamp(0, (side - 1) / side)


def _surprise(probabilities: Tensor, corner: Tensor) -> Tensor:
    """Return the cross entropy of (N, side, side) with the corner (N, 2), x before y, in cells."""
    side = probabilities.shape[1]
    low = corner.floor().clamp(0, side - 2)
    part = corner - low
    column, row = low.long().unbind(1)
    logs = (probabilities.flatten(1) + 1e-8).log()
    total = torch.zeros(len(corner), device=corner.device)
    for down in (0, 1):
        for right in (0, 1):
            share_x = part[:, 0] if right else 1 - part[:, 0]
            share_y = part[:, 1] if down else 1 - part[:, 1]
            at = (row + down) * side + column + right
            total = total - share_x * share_y * logs.gather(1, at[:, None])[:, 0]
    return total


def _inside(boxes_cxcywh: Tensor, side: int) -> Tensor:
    """Return (N, side, side) that sum to 1 over the middle of each box, where the object most likely is."""
    line = (torch.arange(side, device=boxes_cxcywh.device) + 0.5) / side
    spread = (boxes_cxcywh[:, 2:] / 5).clamp(min=0.5 / side)
    x = ((line - boxes_cxcywh[:, :1]) / spread[:, :1]).square()
    y = ((line - boxes_cxcywh[:, 1:2]) / spread[:, 1:]).square()
    weights = torch.exp(-0.5 * (x[:, None] + y[:, :, None])).clamp(min=1e-12)
    return weights / weights.sum((1, 2), keepdim=True)
