"""Measure how often a bundle is right on pictures whose class is known, with the certainty that their number allows."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevit.errors import InputError, UnsupportedError
from edgevit.progress import Progress, Step, silent

from .frame import Frame
from .results import Classification
from .truth import Sample, Truth

Classifier = Callable[[Frame], Any]

_Z95 = 1.959964
_SHOWN = 5
_TELL_EVERY_S = 0.2


@dataclass(frozen=True)
class Score:
    """Tell how often the best class, or one of the best five, was the true one; shares of 1."""

    count: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None

    @classmethod
    def of(cls, ranks: Sequence[int], classes: int) -> Score:
        """Sum up the places that the true class got (0 is best). Among five classes or fewer, top-5 says nothing."""
        right = sum(rank == 0 for rank in ranks)
        top5 = round(sum(rank < 5 for rank in ranks) / len(ranks), 6) if classes > 5 else None
        return cls(len(ranks), round(right / len(ranks), 6), wilson(right, len(ranks)), top5)


@dataclass(frozen=True)
class Evaluation:
    """Hold everything an evaluation found. ``swapped`` is the score with red and blue exchanged, if asked for."""

    score: Score
    rule: str
    classes_seen: int
    seconds: float
    speed_p50: dict[str, float]
    swapped: Score | None = None
    trained: bool = True
    worst: tuple[tuple[str, int, int], ...] = ()
    slowest: tuple[tuple[str, float], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = dataclasses.asdict(self)
        data["worst"] = [{"name": n, "right": right, "count": count} for n, right, count in self.worst]
        data["slowest"] = [{"source": n, "ms": ms} for n, ms in self.slowest]
        data["unreadable"] = [{"source": n, "reason": reason} for n, reason in self.unreadable]
        return data


def evaluate(
    session: Classifier, truth: Truth, *, both_colors: bool = False, progress: Progress | None = None
) -> Evaluation:
    """Run every sample and compare with its truth. A picture that cannot be read is reported, never counted as wrong.

    ``both_colors`` also runs each picture with red and blue exchanged: a model that is better so was trained on the
    other order than its spec says.
    """
    run = _Run(session, both_colors)
    tell, began, told = progress or silent, time.perf_counter(), 0.0
    total = len(truth.samples)
    for done, sample in enumerate(truth.samples):
        if (now := time.perf_counter()) - told > _TELL_EVERY_S:
            tell(Step("evaluate", truth.rule, done, total))
            told = now
        run.take(sample)
    if not run.ranks:
        first = f" The first: {run.unreadable[0][1]}" if run.unreadable else ""
        raise InputError(f"None of the {total} pictures could be read.{first}")
    seconds = time.perf_counter() - began
    tell(Step("evaluate", f"{len(run.ranks)} pictures", total, total, seconds))
    return run.sum_up(truth, seconds)


class _Run:
    """Gather what the samples show, one by one."""

    def __init__(self, session: Classifier, both_colors: bool) -> None:
        self._session = session
        self._both = both_colors
        self.ranks: list[int] = []
        self.unreadable: list[tuple[str, str]] = []
        self._labels: list[int] = []
        self._swapped: list[int] = []
        self._speeds: list[dict[str, float]] = []
        self._times: list[tuple[str, float]] = []
        self._last: Classification | None = None

    def take(self, sample: Sample) -> None:
        try:
            frame = sample.read()
        except InputError as fault:
            self.unreadable.append((sample.name, str(fault)))
            return
        result = self._ask(frame, sample)
        self.ranks.append(_rank(result, sample.label))
        self._labels.append(sample.label)
        self._speeds.append(result.speed)
        self._times.append((sample.name, round(sum(result.speed.values()), 3)))
        self._last = result
        if self._both:
            self._swapped.append(_rank(self._ask(_exchanged(frame), sample), sample.label))

    def _ask(self, frame: Frame, sample: Sample) -> Classification:
        result = self._session(frame)
        if not isinstance(result, Classification):
            raise UnsupportedError(f"val measures classifiers; this bundle answers with {type(result).__name__}.")
        if not 0 <= sample.label < len(result.scores):
            raise InputError(f"{sample.name} is of class {sample.label}; the bundle has {len(result.scores)} classes.")
        return result

    def sum_up(self, truth: Truth, seconds: float) -> Evaluation:
        assert self._last is not None
        classes = len(self._last.scores)
        stages = self._speeds[0]
        return Evaluation(
            score=Score.of(self.ranks, classes),
            rule=truth.rule,
            classes_seen=len(set(self._labels)),
            seconds=round(seconds, 2),
            speed_p50={stage: round(float(np.median([s[stage] for s in self._speeds])), 3) for stage in stages},
            swapped=Score.of(self._swapped, classes) if self._swapped else None,
            trained=self._last.trained,
            worst=self._worst(self._last),
            slowest=tuple(sorted(self._times, key=lambda t: -t[1])[:_SHOWN]),
            unreadable=tuple(self.unreadable),
            notes=truth.notes,
        )

    def _worst(self, result: Classification) -> tuple[tuple[str, int, int], ...]:
        right: dict[int, list[bool]] = {}
        for label, rank in zip(self._labels, self.ranks, strict=True):
            right.setdefault(label, []).append(rank == 0)
        shares = sorted(right.items(), key=lambda item: sum(item[1]) / len(item[1]))
        return tuple((result.name(n), sum(hits), len(hits)) for n, hits in shares[:_SHOWN] if not all(hits))


def _rank(result: Classification, label: int) -> int:
    """Return the place of the true class, 0 for the best; equal scores keep the order of the classes, as in ``top``."""
    scores = result.scores
    return int(np.sum(scores > scores[label])) + int(np.sum(scores[:label] == scores[label]))


def _exchanged(frame: Frame) -> Frame:
    return Frame(frame.to_rgb(), "bgr", frame.captured_ns, frame.index, frame.source)


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the interval that holds the true share in 95 of 100 cases (Wilson 1927): honest at 0 and 1 too."""
    share, z2 = right / count, _Z95 * _Z95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return round(max(0.0, centre - half), 6), round(min(1.0, centre + half), 6)
