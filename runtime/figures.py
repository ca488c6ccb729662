"""Hold what a benchmark found, as data: percentiles, intervals of a long run, figures of a bundle, the whole report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STAGES = ("preprocess", "inference", "postprocess", "total")
"""``total`` is the whole call as the app sees it, not the sum of the others."""


@dataclass(frozen=True)
class Percentiles:
    """Summarise many times of one stage."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    min_ms: float
    count: int

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Percentiles:
        """Take the percentiles; a run without a single time has none to take."""
        times = np.asarray(times_ms, dtype=np.float64)
        p50, p95, p99 = (round(float(p), 3) for p in np.percentile(times, (50, 95, 99)))
        return cls(p50, p95, p99, round(float(times.mean()), 3), round(float(times.min()), 3), len(times_ms))


@dataclass(frozen=True)
class Interval:
    """Tell how fast a bundle was in one part of a long run; clock and heat where the machine tells them."""

    start_s: float
    p50_ms: float
    p95_ms: float
    count: int
    clock_mhz: float | None = None
    temperature_c: float | None = None


@dataclass(frozen=True)
class BundleFigures:
    """Hold the figures of one bundle. A bundle that could not be run has ``fault`` and no stages."""

    path: str
    model: str
    format: str
    precision: str
    size_bytes: int
    trained: bool
    engine: str = ""
    threads: int | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_memory_bytes: int | None = None
    base_memory_bytes: int | None = None
    stages: Mapping[str, Percentiles] = field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()
    fault: str | None = None
    exit_code: int = 0

    @property
    def slowdown(self) -> float | None:
        """Return the last interval's median over the first's: above 1, the machine got slower as it got warm."""
        if len(self.intervals) < 2 or not self.intervals[0].p50_ms:
            return None
        return round(self.intervals[-1].p50_ms / self.intervals[0].p50_ms, 3)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data in which what is unknown is absent."""
        data = {**dataclasses.asdict(self), "slowdown": self.slowdown, "intervals": [_known(i) for i in self.intervals]}
        if self.fault is None:
            del data["exit_code"]
        return {key: value for key, value in data.items() if value not in (None, [], {})}


@dataclass(frozen=True)
class BenchReport:
    """Hold the figures of several bundles that took turns on one machine."""

    machine: str
    cores: int
    results: tuple[BundleFigures, ...]
    warmup: int
    rounds: int
    picture_hw: tuple[int, int]
    seconds: float | None = None

    def ratio(self, result: BundleFigures) -> float | None:
        """Return a bundle's median over the first bundle's: the figure that survives a noisy machine."""
        first = self.results[0]
        if "total" not in first.stages or "total" not in result.stages:
            return None
        return round(result.stages["total"].p50_ms / first.stages["total"].p50_ms, 3)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        results = [{**r.to_dict(), "ratio": self.ratio(r)} for r in self.results]
        return {**_known(self), "results": results}


def _known(data: Any) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(data).items() if value is not None}
