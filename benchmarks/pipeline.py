"""Measure what the pipeline itself costs, with stages that only wait: throughput, age, processor time.

    python -m benchmarks.pipeline [--seconds 6] [--rounds 3]

Each case is a source with a pace and stages that sleep. In every round the slowest stage is also run alone, in a plain
loop, before and after: "throughput" is answers a second over that loop's (or over the source's pace, if that is less).
"age over" is the 95th percentile of the answers' ages less the sum of the stages alone, in times between two answers.
"CPU" is the whole process's time for each frame that was captured, less what the sleeping itself takes; it is also
given as a multiple of one such sleep, which is what the machine takes to wake a thread. "waits" is how often a
thread waits for another one, a captured frame: what the pipeline adds, however busy the machine is. Medians of the
rounds are printed; the targets are 0.97 or more, 1.6 or less, and less than 0.3 ms.
"""

from __future__ import annotations

import argparse
import math
import platform
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.cli import console
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.stages import Job, Stage

PIXELS = np.zeros((4, 4, 3), np.uint8)


@dataclass(frozen=True)
class Case:
    """Hold one setting; a ``source_ms`` of 0 is a file, which is there at once."""

    name: str
    source_ms: float
    stages_ms: tuple[float, ...]

    @property
    def slowest_ms(self) -> float:
        """What sets the pace."""
        return max(self.source_ms, *self.stages_ms)


CASES = (
    Case("camera 30 fps, net 20 ms", 33.3, (3, 20, 2)),
    Case("camera 30 fps, net 50 ms", 33.3, (5, 50, 5)),
    Case("camera 60 fps, net 30 ms", 16.7, (5, 30, 5)),
    Case("camera 60 fps, slow decoding", 16.7, (5, 15, 40)),
    Case("camera 60 fps, slow preparing", 16.7, (40, 15, 5)),
    Case("camera 30 fps, one stage (tracker)", 33.3, (40,)),
    Case("file, net 20 ms", 0, (3, 20, 2)),
)


class Camera:
    """Give a frame when its time has come, taken or not."""

    def __init__(self, period_ms: float, seconds: float) -> None:
        self.live = period_ms > 0
        self._period_s, self._seconds = period_ms / 1e3, seconds

    def __iter__(self) -> Iterator[Frame]:
        began_s, index = time.monotonic(), 0
        while time.monotonic() - began_s < self._seconds:
            if self.live:
                time.sleep(max(0.0, began_s + index * self._period_s - time.monotonic()))
            yield Frame(PIXELS, "rgb", time.monotonic_ns(), index)
            index += 1


class Sleeper:
    """Be a model whose stages sleep."""

    def __init__(self, stages_ms: tuple[float, ...]) -> None:
        self._stages_ms = stages_ms

    def stages(self) -> tuple[Stage, ...]:
        return tuple(Stage(f"stage {n}", _sleep(ms)) for n, ms in enumerate(self._stages_ms))


def _sleep(milliseconds: float) -> Any:
    def sleep(job: Job) -> None:
        time.sleep(milliseconds / 1e3)

    return sleep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {case.name: [] for case in CASES}
    for _ in range(args.rounds):
        for case in CASES:
            found[case.name].append(measured(case, args.seconds))
    rows = []
    for name, rounds in found.items():
        share, over, cost, sleeps, waits = (statistics.median(values) for values in zip(*rounds, strict=True))
        old = f"{over:.2f}" if over < math.inf else "-"
        rows.append((name, f"{share:.3f}", old, f"{cost:.3f}", f"{sleeps:.1f}", f"{waits:.1f}"))
    console.table(("case", "throughput", "age over", "CPU, ms a frame", "in sleeps", "waits"), rows, right="-rrrrr")
    console.say(f"\n{platform.machine()}, medians of {args.rounds} rounds of {args.seconds:g} s each.")


def measured(case: Case, seconds: float) -> tuple[float, ...]:
    """Return throughput, age and cost of one run, as the table has them."""
    before = alone(case.slowest_ms, seconds / 6)
    began_s, cpu_s, waited = time.monotonic(), time.process_time(), waits()
    report = Pipeline(Sleeper(case.stages_ms), Camera(case.source_ms, seconds)).run()
    cpu_s, took_s, waited = time.process_time() - cpu_s, time.monotonic() - began_s, waits() - waited
    pace_ms = statistics.mean((before[0], alone(case.slowest_ms, seconds / 6)[0]))
    (source,) = report.sources
    assert report.age is not None
    assert source.disordered == 0
    frame_ms = 1e3 / source.fps
    over = (report.age.p95_ms - sum(case.stages_ms)) / frame_ms
    sleeps = took_s / (case.source_ms / 1e3) if case.source_ms else 0
    sleeps += source.answered * len(case.stages_ms)
    cost_s = (cpu_s - sleeps * before[1]) / source.captured
    costs = cost_s * 1e3, cost_s / before[1], (waited - sleeps) / source.captured
    return pace_ms / frame_ms, over if case.source_ms else math.inf, *costs


def waits() -> int:
    """Return how often a thread of this process has given up the processor to wait."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def alone(milliseconds: float, seconds: float) -> tuple[float, float]:
    """Sleep in a plain loop; return how long one takes in ms, and its processor time in s."""
    count = max(5, round(seconds * 1e3 / milliseconds))
    began_s, cpu_s = time.monotonic(), time.process_time()
    for _ in range(count):
        time.sleep(milliseconds / 1e3)
    return (time.monotonic() - began_s) * 1e3 / count, (time.process_time() - cpu_s) / count


if __name__ == "__main__":
    main()
