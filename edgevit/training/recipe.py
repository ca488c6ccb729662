"""Teach a classifier: AdamW, warm-up and a straight fall, label smoothing, averaged weights, a checkpoint every minute.

What happens in a step depends on the recipe and the number of the step alone, so a resumed run of fixed length ends
where an uninterrupted one would.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgevit.errors import UsageError, WeightsError

from .augment import augment, normalise
from .replicas import Replicas

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """Say how to learn. The run ends after ``steps``, or if that is 0, after ``minutes`` of the clock.

    The first ``small_share`` of it sees pictures shrunk to ``small`` pixels: most of what is to be learnt can be seen
    there, at less than half the cost a step.
    """

    minutes: float = 14.5
    steps: int = 0
    clock: str = "wall"
    threads: int = 2
    images: int = 50_000
    batch: int = 128
    rate: float = 6e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05
    average: float = 0.998
    warm_up: float = 0.05
    clip: float = 2.0
    small: int = 64
    small_share: float = 0.5
    seed: int = 0
    device: str = "cpu"
    checkpoint_s: float = 60.0

    def __post_init__(self) -> None:
        if self.clock not in ("wall", "cpu"):
            raise UsageError(f"clock must be wall or cpu, not {self.clock!r}.")
        for name in ("threads", "images", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.batch < 2 * self.replicas:
            raise UsageError(f"A batch of {self.batch} is too small for {self.replicas} threads: two pictures each.")
        if self.steps < 0 or (self.steps == 0 and not self.minutes > 0):
            raise UsageError("Give a length: --minutes above 0, or --steps above 0.")
        if self.batch > self.images:
            raise UsageError(f"A batch of {self.batch} cannot be taken from {self.images} images.")

    @property
    def replicas(self) -> int:
        """Return how many copies of the net learn side by side: one a core, or one on an accelerator."""
        return self.threads if self.device == "cpu" else 1


class Clock:
    """Count the time spent on this run, over all its sessions: ``wall_s``, and ``cpu_s`` of it and its workers."""

    def __init__(self, wall_s: float = 0.0, cpu_s: float = 0.0) -> None:
        self._wall_start, self._cpu_start = time.monotonic() - wall_s, _cpu_s() - cpu_s

    @property
    def wall_s(self) -> float:
        return time.monotonic() - self._wall_start

    @property
    def cpu_s(self) -> float:
        return _cpu_s() - self._cpu_start

    def share(self, recipe: Recipe, step: int) -> float:
        """Return how much of the run is over, 0..1; by ``cpu`` a crowded machine does not shorten the run."""
        if recipe.steps:
            return min(1.0, step / recipe.steps)
        spent_s = self.wall_s if recipe.clock == "wall" else self.cpu_s / recipe.threads
        return min(1.0, spent_s / (60 * recipe.minutes))


@dataclass
class Run:
    """Hold all that changes while learning."""

    net: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    clock: Clock
    step: int = 0

    @classmethod
    def begin(cls, build: Callable[[], nn.Module], recipe: Recipe, clock: Clock | None = None) -> Run:
        """Make a seeded net, its average and its optimiser."""
        torch.manual_seed(recipe.seed)
        net = build().to(recipe.device)
        average = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
        averaged = AveragedModel(net, multi_avg_fn=average, use_buffers=True)
        decayed = [p for p in net.parameters() if p.ndim > 1]
        free = [p for p in net.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.weight_decay)
        return cls(net, averaged, optimizer, clock or Clock())

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write a checkpoint in one piece: a run that is killed leaves the old one or the new one."""
        state = {
            "recipe": asdict(recipe),
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "wall_s": self.clock.wall_s,
            "cpu_s": self.clock.cpu_s,
        }
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def restore(self, path: Path, recipe: Recipe) -> None:
        """Go on where a checkpoint of the same recipe stopped."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=recipe.device, weights_only=True)
            saved = state["recipe"]
            if saved != asdict(recipe):
                changed = sorted(key for key, value in asdict(recipe).items() if saved.get(key) != value)
                raise WeightsError(
                    f"The checkpoint {path} is of another recipe ({', '.join(changed)} differ). "
                    "Use the options it was begun with, or another --out."
                )
            self.net.load_state_dict(state["net"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
            self.clock = Clock(float(state["wall_s"]), float(state["cpu_s"]))
        except WeightsError:
            raise
        except Exception as exc:  # torch.load has no error of its own: pickle's, zip's and RuntimeError all occur
            raise WeightsError(f"The checkpoint {path} cannot be read: {exc}. Remove it to begin anew.") from exc


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
            _move(run, recipe, share)
            replicas.follow()
            if run.clock.wall_s >= next_report_s:
                report(run, loss)
                if checkpoint is not None:
                    run.save(checkpoint, recipe)
                next_report_s = run.clock.wall_s + recipe.checkpoint_s
            share = run.clock.share(recipe, run.step)
    if checkpoint is not None:
        run.save(checkpoint, recipe)


def _move(run: Run, recipe: Recipe, share: float) -> None:
    """Move the weights along their gradient, and their average after them."""
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.rate * _rate_share(share, recipe.warm_up)
    nn.utils.clip_grad_norm_(run.net.parameters(), recipe.clip)
    run.optimizer.step()
    run.averaged.update_parameters(run.net)
    run.step += 1


def _batch(step: int, recipe: Recipe, count: int) -> Tensor:
    """Return which pictures a step sees: each once an epoch, in an order of the epoch's own."""
    per_epoch = count // recipe.batch
    epoch, place = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + epoch)
    order = torch.randperm(count, generator=generator)
    return order[place * recipe.batch : (place + 1) * recipe.batch]


def _rate_share(share: float, warm_up: float) -> float:
    if share < warm_up:
        return max(share / warm_up, 0.01)
    return (1 - share) / (1 - warm_up)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
