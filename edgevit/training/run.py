"""Keep a training run: its length, its clock, its weights and their average, and the checkpoint it goes on from.

What happens in a step depends on the recipe and the number of the step alone, so a resumed run of fixed length ends
where an uninterrupted one would.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from edgevit.errors import UsageError, WeightsError

_Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class Pace:
    """Say how any net of ours learns. The run ends after ``steps``, or if that is 0, after ``minutes`` of the clock.

    The averaged weights move by 1 - ``average`` a step towards the net's; where ``quick_average`` is not 0, faster at
    first, so that what the net was before it learnt anything does not linger.
    """

    minutes: float = 14.5
    steps: int = 0
    clock: str = "wall"
    threads: int = 2
    batch: int = 128
    rate: float = 6e-3
    weight_decay: float = 0.05
    average: float = 0.998
    quick_average: float = 0.0
    warm_up: float = 0.05
    clip: float = 2.0
    seed: int = 0
    device: str = "cpu"
    checkpoint_s: float = 60.0

    def __post_init__(self) -> None:
        if self.clock not in ("wall", "cpu"):
            raise UsageError(f"clock must be wall or cpu, not {self.clock!r}.")
        for name in ("threads", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.batch < 2 * self.replicas:
            raise UsageError(f"A batch of {self.batch} is too small for {self.replicas} threads: two pictures each.")
        if self.steps < 0 or (self.steps == 0 and not self.minutes > 0):
            raise UsageError("Give a length: --minutes above 0, or --steps above 0.")

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

    def share(self, recipe: Pace, step: int) -> float:
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
    def begin(cls, build: Callable[[], nn.Module], recipe: Pace, clock: Clock | None = None) -> Run:
        """Make a seeded net, its average and its optimiser."""
        torch.manual_seed(recipe.seed)
        net = build().to(recipe.device)
        averaged = AveragedModel(net, multi_avg_fn=_follower(recipe), use_buffers=True)
        decayed = [p for p in net.parameters() if p.ndim > 1]
        free = [p for p in net.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.weight_decay)
        return cls(net, averaged, optimizer, clock or Clock())

    def save(self, path: Path, recipe: Pace) -> None:
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

    def restore(self, path: Path, recipe: Pace) -> None:
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


def move(run: Run, recipe: Pace, share: float) -> None:
    """Move the weights along their gradient, and their average after them."""
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.rate * _rate_share(share, recipe.warm_up)
    nn.utils.clip_grad_norm_(run.net.parameters(), recipe.clip)
    run.optimizer.step()
    run.averaged.update_parameters(run.net)
    run.step += 1


def _follower(recipe: Pace) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Return how the average moves: called with itself, the net's weights, and how often it has moved."""

    @torch.no_grad()
    def follow(averages: _Tensors, values: _Tensors, moved: Tensor | int) -> None:
        seen = float(moved)
        early = (1 + seen) / (recipe.quick_average + seen) if recipe.quick_average else 1.0
        share = 1 - min(recipe.average, early)
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, share) if average.is_floating_point() else average.copy_(value)

    return follow


def _rate_share(share: float, warm_up: float) -> float:
    if share < warm_up:
        return max(share / warm_up, 0.01)
    return (1 - share) / (1 - warm_up)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
