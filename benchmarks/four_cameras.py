"""Run one classifier on four RTSP cameras, and see whether they get the same share and whether any starves.

    python -m benchmarks.four_cameras [--seconds 20] [--size 1280x720] [--bundle shvit_shapes] [--slow-ms 0]

Targets: the least served within 10 % of the most served, and no camera without an answer for long. ``--slow-ms`` lets
each answer take that much longer, as a larger net would, so that there is not enough for all and sharing counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job, Stage

from .camera import Camera

CAMERAS = 4


class Slower:
    """Be a session whose inference takes longer, asleep: a larger net on an accelerator."""

    def __init__(self, session: Any, more_ms: float) -> None:
        self._stages, self._more_s = session.stages(), more_ms / 1e3

    def stages(self) -> tuple[Stage, ...]:
        return tuple(Stage(s.name, self._slower(s)) if s.name == "inference" else s for s in self._stages)

    def _slower(self, stage: Stage) -> Any:
        def run(job: Job) -> Any:
            time.sleep(self._more_s)
            return stage.run(job)

        return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--bundle", default="shvit_shapes")
    parser.add_argument("--slow-ms", type=float, action="append")
    asked = parser.parse_args()
    rows = []
    with Camera(asked.size) as camera, load(find_bundle(asked.bundle), threads=1) as session:
        session.warmup()
        for slow_ms in asked.slow_ms or (0.0, 20.0):
            rows.append(measured(Slower(session, slow_ms) if slow_ms else session, camera, asked.seconds, slow_ms))
    heads = ("answer takes", "answers a second, each camera", "least/most", "longest gap, ms", "age p95, ms", "CPU ms")
    console.table(heads, rows, right="--rrrr")
    cores = len(os.sched_getaffinity(0))
    console.say(f"\nFour cameras of {asked.size}, 30 fps, {asked.seconds:g} s; {cores} cores, {platform.machine()}.")


def measured(model: Any, camera: Camera, seconds: float, slow_ms: float) -> tuple[str, ...]:
    """Run, and return the row."""
    answers: dict[int, list[float]] = {lane: [] for lane in range(CAMERAS)}
    sources = [Named(open_source(camera.url), str(lane)) for lane in range(CAMERAS)]
    pipeline = Pipeline(
        model, sources, on_result=lambda result: answers[int(result.frame.source)].append(time.monotonic())
    )
    cpu_s = time.process_time()
    report = pipeline.run(seconds=seconds)
    cpu_s = time.process_time() - cpu_s
    rates = [source.fps for source in report.sources]
    settled = [[at for at in times if at > times[0] + 1] for times in answers.values()]
    gap_s = max(b - a for times in settled for a, b in pairwise(times))
    captured = sum(source.captured for source in report.sources)
    assert report.age is not None
    return (
        f"+{slow_ms:g} ms",
        " ".join(f"{rate:.1f}" for rate in rates),
        f"{min(rates) / max(rates):.3f}",
        f"{gap_s * 1e3:.0f}",
        f"{report.age.p95_ms:.0f}",
        f"{1e3 * cpu_s / captured:.2f}",
    )


class Named:
    """Be a source under another name: the four are one URL."""

    live = True
    total = None

    def __init__(self, source: Any, name: str) -> None:
        self._source, self.name = source, name

    def __iter__(self) -> Any:
        return (replace(frame, source=self.name) for frame in self._source)

    def close(self) -> None:
        self._source.close()


if __name__ == "__main__":
    main()
