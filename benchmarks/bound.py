"""Compare a real net's throughput in the pipeline with the bound that its processor time sets.

    python -m benchmarks.bound [--bundle shvit_shapes] [--size 1280x720] [--frames 600] [--rounds 3]

A plain loop takes frame after frame through all steps (decoding, preprocessing, inference, the rest) on one thread, and
the processor time of each is counted; what FFmpeg's own threads take is decoding. The bound is what cores of that speed
could do at most: cores over the sum of the steps, or one over the slowest of those that have one thread, which are all
but decoding; the lesser counts.
The same clip goes through the pipeline, every frame of it. A machine's pace drifts, so in every round the loop comes
before and after the pipeline, and shares are those of a round; medians are printed. Target: 0.90 of the bound or more.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job

from .clip import write_clip

DECODE = "decode"


@dataclass(frozen=True)
class Round:
    """Hold what one round found: processor seconds a frame of each step, frames a second, processor seconds in all."""

    steps_s: dict[str, float]
    loop_fps: float
    pipeline_fps: float
    spent_s: float

    def by_sum(self, cores: int) -> float:
        """Return the frames a second that the cores' time allows."""
        return cores / sum(self.steps_s.values())

    def by_slowest(self) -> float:
        """Return the frames a second that the slowest step of one thread allows."""
        return 1 / max(seconds for name, seconds in self.steps_s.items() if name != DECODE)

    def bound(self, cores: int) -> float:
        """Return the lesser."""
        return min(self.by_sum(cores), self.by_slowest())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="shvit_shapes")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, load(find_bundle(asked.bundle), threads=1) as session:
        clip = write_clip(Path(folder, "clip.mp4"), asked.size, asked.frames)
        session.warmup()
        rounds = [one_round(session, clip) for _ in range(asked.rounds)]

    def middle(of: Callable[[Round], float], digits: int) -> str:
        return f"{statistics.median(map(of, rounds)):.{digits}f}"

    console.facts(
        [
            *(
                (f"{name}, processor ms a frame", middle(lambda r, name=name: 1e3 * r.steps_s[name], 2))  # type: ignore[misc]
                for name in rounds[0].steps_s
            ),
            ("bound by the sum, frames a second", f"{middle(lambda r: r.by_sum(cores), 1)} ({cores} cores)"),
            ("bound by the slowest step", middle(Round.by_slowest, 1)),
            ("plain loop", middle(lambda r: r.loop_fps, 1)),
            ("plain loop, of the bound", middle(lambda r: r.loop_fps / r.bound(cores), 2)),
            ("pipeline", middle(lambda r: r.pipeline_fps, 1)),
            ("pipeline, of the bound", middle(lambda r: r.pipeline_fps / r.bound(cores), 2)),
            ("processor ms a frame in it", middle(lambda r: 1e3 * r.spent_s, 2)),
            ("of which the steps", middle(lambda r: sum(r.steps_s.values()) / r.spent_s, 2)),
        ]
    )
    about = f"{asked.bundle}, {asked.frames} frames of {asked.size}, medians of {asked.rounds} rounds"
    console.say(f"\n{about}, {platform.machine()}.")


def one_round(session: Any, clip: Path) -> Round:
    """Run the loop, the pipeline, and the loop again."""
    before_s, before_fps = looped(session, clip)
    spent_s = time.process_time()
    report = Pipeline(session, open_source(clip)).run()
    spent_s = (time.process_time() - spent_s) / report.answered
    after_s, after_fps = looped(session, clip)
    steps_s = {name: (before_s[name] + after_s[name]) / 2 for name in before_s}
    return Round(steps_s, (before_fps + after_fps) / 2, report.sources[0].fps, spent_s)


def looped(session: Any, clip: Path) -> tuple[dict[str, float], float]:
    """Return each step's processor seconds a frame, and the loop's frames a second."""
    stages = session.stages()
    steps_s = {DECODE: 0.0, **{stage.name: 0.0 for stage in stages}}
    began_s, spent_s, count = time.perf_counter(), time.process_time(), 0
    for frame in open_source(clip):
        job = Job(frame, 0)
        for stage in stages:
            step_s = time.thread_time()
            job.value, job.spent_ms[stage.name] = stage.run(job), 0.0
            steps_s[stage.name] += time.thread_time() - step_s
        count += 1
    took_s = time.perf_counter() - began_s
    steps_s[DECODE] = time.process_time() - spent_s - sum(steps_s.values())
    return {name: seconds / count for name, seconds in steps_s.items()}, count / took_s


if __name__ == "__main__":
    main()
