"""Teach a classifier: AdamW, a warm-up, a straight fall, label smoothing, averaged weights, a checkpoint a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.errors import UsageError

from .augment import augment, normalise
from .replicas import Replicas
from .run import Clock as Clock
from .run import Pace, move
from .run import Run as Run

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe(Pace):
    """Say how a classifier learns.

    The first ``small_share`` of the run sees pictures shrunk to ``small`` pixels: most of what is to be learnt can be
    seen there, at less than half the cost a step.
    """

    images: int = 50_000
    smoothing: float = 0.05
    small: int = 64
    small_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < 1:
            raise UsageError(f"images must be at least 1, not {self.images}.")
        if self.batch > self.images:
            raise UsageError(f"A batch of {self.batch} cannot be taken from {self.images} images.")


def learn(
    run: Run,
    recipe: Recipe,
    pictures: Tensor,
    labels: Tensor,
    mean: Triple,
    std: Triple,
    report: Callable[[Run, float], None],
    checkpoint: Path | None = None,
) -> None:
    """Take steps until the recipe's length is reached; ``report`` is called with the loss at every checkpoint."""
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    share = run.clock.share(recipe, run.step)

    def loss_of(net: nn.Module, part: Tensor, number: int) -> Tensor:
        generator = torch.Generator().manual_seed((recipe.seed * 1_000_003 + run.step) * 64 + number)
        # Channels last makes a step on a CPU a quarter shorter; bytes are shrunk five times faster than floats.
        planes = augment(pictures[part], generator).contiguous(memory_format=torch.channels_last)
        if share < recipe.small_share:
            planes = F.interpolate(planes, size=(recipe.small, recipe.small), mode="bilinear", antialias=True)
        inputs = normalise(planes.to(recipe.device), mean, std)
        loss: Tensor = criterion(net(inputs), labels[part].to(recipe.device))
        return loss

    next_report_s = run.clock.wall_s + recipe.checkpoint_s
    with Replicas(run.net, recipe.replicas) as replicas:
        while share < 1:
            loss = replicas.backward(_batch(run.step, recipe, len(labels)), loss_of)
            move(run, recipe, share)
            replicas.follow()
            if run.clock.wall_s >= next_report_s:
                report(run, loss)
                if checkpoint is not None:
                    run.save(checkpoint, recipe)
                next_report_s = run.clock.wall_s + recipe.checkpoint_s
            share = run.clock.share(recipe, run.step)
    if checkpoint is not None:
        run.save(checkpoint, recipe)


def _batch(step: int, recipe: Recipe, count: int) -> Tensor:
    """Return which pictures a step sees: each once an epoch, in an order of the epoch's own."""
    per_epoch = count // recipe.batch
    epoch, place = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + epoch)
    order = torch.randperm(count, generator=generator)
    return order[place * recipe.batch : (place + 1) * recipe.batch]
