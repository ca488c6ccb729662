"""Compare a real net's throughput in the pipeline with the bound that its processor time sets.

    python -m benchmarks.bound [--bundle shvit_shapes] [--size 1280x720] [--frames 600] [--rounds 3]

Each step (decoding, preprocessing, inference, the rest) is run alone on one thread, frame after frame, and its
processor time counted. The bound is what cores of that speed could do at most: cores over the sum of the steps, or one
over the slowest step, which has one thread; the lesser counts. The same clip then goes through the pipeline, every
frame of it, and through a plain loop. Target: at least 0.90 of the bound on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job, Stage

from .clip import write_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="shvit_shapes")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, load(find_bundle(asked.bundle), threads=1) as session:
        clip = write_clip(Path(folder, "clip.mp4"), asked.size, asked.frames)
        session.warmup()
        rounds = [one_round(session, clip) for _ in range(asked.rounds)]
    steps = {name: statistics.median(one[0][name] for one in rounds) for name in rounds[0][0]}
    loop, pipeline, spent = (statistics.median(values) for values in list(zip(*rounds, strict=True))[1:])
    by_sum, by_slowest = cores / sum(steps.values()), 1 / max(steps.values())
    bound = min(by_sum, by_slowest)
    console.facts(
        [
            *((f"{name}, processor ms a frame", f"{1e3 * value:.2f}") for name, value in steps.items()),
            ("bound by the sum, frames a second", f"{by_sum:.1f} ({cores} cores)"),
            ("bound by the slowest step", f"{by_slowest:.1f}"),
            ("plain loop", f"{loop:.1f} ({loop / bound:.2f} of the bound)"),
            ("pipeline", f"{pipeline:.1f} ({pipeline / bound:.2f} of the bound)"),
            ("processor ms a frame in it", f"{1e3 * spent:.2f} ({sum(steps.values()) / spent:.2f} of it is the steps)"),
        ]
    )
    about = f"{asked.bundle}, {asked.frames} frames of {asked.size}, medians of {asked.rounds} rounds"
    console.say(f"\n{about}, {platform.machine()}.")


def one_round(session: Any, clip: Path) -> tuple[dict[str, float], float, float, float]:
    """Return the steps' processor seconds a frame, frames a second of a loop and the pipeline, and what that took."""
    frames = list(open_source(clip))
    steps = {"decode": costing(open_source(clip), lambda _: None)}
    jobs = [Job(frame, 0) for frame in frames]
    for stage in session.stages():

        def answer(job: Job, stage: Stage = stage) -> None:
            job.value, job.spent_ms[stage.name] = stage.run(job), 0.0

        steps[stage.name] = costing(jobs, answer)
    began_s = time.perf_counter()
    count = sum(1 for frame in open_source(clip) if session(frame) is not None)
    loop_s = time.perf_counter() - began_s
    spent_s = time.process_time()
    report = Pipeline(session, open_source(clip)).run()
    spent_s = time.process_time() - spent_s
    assert report.answered == count == len(frames)
    return steps, count / loop_s, report.sources[0].fps, spent_s / count


def costing(things: Iterable[Any], do: Callable[[Any], Any]) -> float:
    """Return the processor seconds that each thing takes."""
    began_s, count = time.process_time(), 0
    for thing in things:
        do(thing)
        count += 1
    return (time.process_time() - began_s) / count


if __name__ == "__main__":
    main()
