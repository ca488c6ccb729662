"""Say what the recipe and the proof of each task tell each other: the plan, and the evidence that a task gathers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.manifest import Manifest
from edgevit.models import ModelDef
from edgevit.progress import Progress
from edgevit.registry import Registry

from .recipe import Converted, Samples, Traced
from .reference import Reference
from .report import Report
from .target import Target


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold what was decided before the conversion: the model, the target, the gates.

    ``named`` are the gates that the caller asked for; ``given`` the parts of the preprocessing that the caller gave
    against the weights' card.
    """

    model: ModelDef
    target: Target
    limits: Mapping[str, float]
    named: frozenset[str]
    command: str
    given: tuple[str, ...] = ()
    levels: bool = False
    backend: str | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Asked:
    """Hold what the caller said of the samples: folders for the calibration and for the proof, and how many.

    ``reference`` answers in a classifier's place: whoever exports one model many times has one that remembers.
    """

    calib: str | Path | None = None
    images: str | Path | None = None
    most: int | None = None
    reference: Reference | None = None


class Evidence(Protocol):
    """Be what a task's files are proven on, chosen before the conversion."""

    @property
    def calibration(self) -> Samples | None:
        """Return what int8 is calibrated on, where it needs that."""

    @property
    def shown(self) -> Samples:
        """Return what the files are run on."""

    def prove(
        self, plan: Plan, folder: Path, traced: Mapping[str, Traced], made: Mapping[str, Converted]
    ) -> tuple[Manifest, Report]:
        """Run the produced files, judge them, and store the evidence beside them."""


class Proving(Protocol):
    """Say what a task's module of proof has."""

    limits_for: Callable[[str, Mapping[str, float] | None], dict[str, float]]
    gather: Callable[[ModelDef, Target, Asked, Progress | None], Evidence]


EVIDENCE = Registry(
    "task",
    {"classify": "edgevit.exporters.evidence", "track": "edgevit.exporters.trackers.evidence"},
    ask="edgevit list",
)
