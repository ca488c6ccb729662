"""Teach a tracker on rendered pairs: first its stem to tell objects apart, then the whole net to find one.

Every copy of the net renders its own share of a step, so that no core ever waits for pairs. What happens in a step
depends on the recipe and the step's number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevit.errors import UsageError

from .augment import normalise
from .replicas import Replicas
from .run import Pace, Run, move
from .tracking_filter import filter_loss
from .tracking_loss import MEAN, STD, Weights, iou, matching_loss, tracking_loss
from .tracking_scenes import Pairs, Scenes

_EVERY = 128
"""Pairs that are judged at a time."""


@dataclass(frozen=True)
class TrackingRecipe(Pace):
    """Say how a tracker learns.

    For the first ``start`` of the run the stem alone learns, to tell the target from all else by its features (cheap:
    no attention, no head). ``half`` computes products in bfloat16, with weights and sums in fp32.
    """

    minutes: float = 240.0
    batch: int = 64
    rate: float = 2e-3
    average: float = 0.998
    quick_average: float = 10.0
    clip: float = 5.0
    checkpoint_s: float = 120.0
    start: float = 0.03
    half: bool = True
    limit: int = 0
    held_pairs: int = 384

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.start < 1:
            raise UsageError(f"start is a share of the run, 0 or more and below 1, not {self.start}.")
        if self.limit < 0 or self.held_pairs < 1:
            raise UsageError("limit must be 0 (all pictures) or more, and held_pairs at least 1.")


def learn(
    run: Run,
    recipe: TrackingRecipe,
    scenes: Scenes,
    report: Callable[[Run, float], None],
    checkpoint: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Take steps until the recipe's length is reached, or ``stop`` says so; return whether it was reached."""
    weights = Weights()
    share = run.clock.share(recipe, run.step)

    def loss_of(net: nn.Module, part: Tensor, number: int) -> Tensor:
        pairs = scenes.render(run.step * recipe.replicas + number, len(part))
        with halved(recipe):
            return loss_on(net, pairs, weights, stem_only=share < recipe.start)

    next_report_s = run.clock.wall_s + recipe.checkpoint_s
    with Replicas(run.net, recipe.replicas) as replicas:
        while share < 1 and not stop():
            loss = replicas.backward(torch.arange(recipe.batch), loss_of)
            move(run, recipe, share)
            replicas.follow()
            if run.clock.wall_s >= next_report_s:
                if checkpoint is not None:
                    run.save(checkpoint, recipe)
                report(run, loss)
                next_report_s = run.clock.wall_s + recipe.checkpoint_s
            share = run.clock.share(recipe, run.step)
    if checkpoint is not None:
        run.save(checkpoint, recipe)
    return share >= 1


def loss_on(net: Any, pairs: Pairs, weights: Weights, *, stem_only: bool) -> Tensor:
    """Return the loss of a net on rendered pairs."""
    templates, searches = prepared(pairs, next(net.parameters()).device)
    at, boxes, present = (
        part.to(searches.device) for part in (pairs.template_boxes_cxcywh, pairs.boxes_cxcywh, pairs.present)
    )
    loss: Tensor
    kept: tuple[Tensor, ...] = net.prepare(templates)
    if stem_only:
        features: Tensor = net.prepare(searches)[1]
        loss = matching_loss(kept[1].float(), features.float(), at, boxes, present)
        loss = loss + filter_loss(kept[1], features, boxes, present)
        # The rest of the net takes no part: its gradient is nothing, not missing.
        return loss + 0 * torch.stack([p.sum() for p in net.parameters()]).sum()
    answer = tuple(part.float() for part in net.track(searches, *kept))
    matched = matching_loss(kept[1].float(), answer[4], at, boxes, present)
    filtered = filter_loss(kept[1], answer[4], boxes, present)
    loss = tracking_loss(answer, boxes, present, weights) + weights.match * matched + weights.filter * filtered
    return loss


@torch.inference_mode()
def judge(net: Any, pairs: Pairs) -> tuple[float, float]:
    """Return the mean IoU where the target is there, and how often the score is right whether it is."""
    net.eval()
    overlaps, right = [], []
    templates, searches = prepared(pairs, next(net.parameters()).device)
    for start in range(0, len(templates), _EVERY):
        rows = slice(start, start + _EVERY)
        box, _, _, score, *_ = net(templates[rows], searches[rows])
        overlaps.append(iou(box.cpu(), pairs.boxes_cxcywh[rows].cpu()))
        right.append((score.flatten() > 0).cpu() == pairs.present[rows].cpu())
    present = pairs.present.cpu()
    return float(torch.cat(overlaps)[present].mean()), float(torch.cat(right).float().mean())


def prepared(pairs: Pairs, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the net's two inputs, laid out as convolutions on a processor like them."""
    templates, searches = (
        normalise(crops.to(device), MEAN, STD).contiguous(memory_format=torch.channels_last)
        for crops in (pairs.templates, pairs.searches)
    )
    return templates, searches


@contextmanager
def halved(recipe: TrackingRecipe) -> Iterator[None]:
    """Compute products in bfloat16: twice as fast where the processor has them (AVX-512 BF16, AMX, a GPU)."""
    with torch.autocast(recipe.device.split(":")[0], torch.bfloat16, enabled=recipe.half):
        yield
