"""Compare a real net's throughput in the pipeline with the bound that its processor time sets.

    python -m benchmarks.bound [--bundle shvit_shapes] [--size 1280x720] [--frames 600] [--rounds 3]

Each step (decoding, preprocessing, inference, the rest) is run alone on one thread, frame after frame, and its
processor time counted. The bound is what cores of that speed could do at most: cores over the sum of the steps, or one
over the slowest step, which has one thread; the lesser counts. The same clip goes through the pipeline, every frame of
it, and through a plain loop. A machine's pace drifts, so in every round the steps are counted before and after both,
and the shares are those of a round; medians are printed. Target: at least 0.90 of the bound on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job, Stage

from .clip import write_clip


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
        """Return the frames a second that the slowest step allows."""
        return 1 / max(self.steps_s.values())

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
    """Count the steps, run the loop and the pipeline, and count the steps again."""
    before = steps_of(session, clip)
    began_s = time.perf_counter()
    count = sum(1 for frame in open_source(clip) if session(frame) is not None)
    loop_s = time.perf_counter() - began_s
    spent_s = time.process_time()
    report = Pipeline(session, open_source(clip)).run()
    spent_s = time.process_time() - spent_s
    assert report.answered == count
    after = steps_of(session, clip)
    steps_s = {name: (before[name] + after[name]) / 2 for name in before}
    return Round(steps_s, count / loop_s, report.sources[0].fps, spent_s / count)


def steps_of(session: Any, clip: Path) -> dict[str, float]:
    """Return each step's processor seconds a frame, one after the other."""
    jobs = [Job(frame, 0) for frame in open_source(clip)]
    steps_s = {"decode": costing(open_source(clip), lambda _: None)}
    for stage in session.stages():

        def answer(job: Job, stage: Stage = stage) -> None:
            job.value, job.spent_ms[stage.name] = stage.run(job), 0.0

        steps_s[stage.name] = costing(jobs, answer)
    return steps_s


def costing(things: Iterable[Any], do: Callable[[Any], Any]) -> float:
    """Return the processor seconds that each thing takes."""
    began_s, count = time.process_time(), 0
    for thing in things:
        do(thing)
        count += 1
    return (time.process_time() - began_s) / count


if __name__ == "__main__":
    main()
