"""Run a classifier on an RTSP camera for minutes, and see whether ages or memory grow, and whether the order is kept.

    python -m benchmarks.rtsp --minutes 10 [--size 1920x1080] [--bundle shvit_shapes]

The camera is a process of its own that sends a loop encoded beforehand. "slope" is the growth of the answers' ages by
linear regression, in ms a second: once by the ledger's times, and once without trusting them, by the number of each
frame and the clock. Memory is the process's resident set, the median of the last fifth over that of the second one.
Targets: 0.1 ms a second, 1 %, no frame out of order.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sources import open_source

from .camera import Camera

_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--bundle", default="shvit_shapes")
    parser.add_argument("--camera-core", type=int, help="the core that the camera runs on")
    asked = parser.parse_args()
    with Camera(asked.size, core=asked.camera_core) as camera, load(find_bundle(asked.bundle), threads=1) as session:
        session.warmup()
        rows = measured(session, camera, asked.minutes * 60)
    console.facts(rows)
    cores = len(os.sched_getaffinity(0))
    console.say(f"\n{asked.size} at 30 fps for {asked.minutes:g} min, {cores} cores, {platform.machine()}.")


def measured(session: Any, camera: Camera, seconds: float) -> list[tuple[str, str]]:
    """Run, and return what was seen."""
    notes = np.ones((int(seconds * camera.fps * 1.2) + 100, 3))  # all at once, so as not to measure their growth
    memory: list[int] = []
    count = 0

    def hear(result: Any) -> None:
        nonlocal count
        now_ns = time.monotonic_ns()
        notes[count] = now_ns / 1e9, (now_ns - result.frame.captured_ns) / 1e6, result.frame.index
        count += 1

    def tick(elapsed_s: float) -> None:
        if elapsed_s >= len(memory):
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE)

    pipeline = Pipeline(session, open_source(camera.url), on_result=hear)
    cpu_s = time.process_time()
    report = pipeline.run(tick, seconds=seconds)
    cpu_s = time.process_time() - cpu_s
    (source,) = report.sources
    at_s, age_ms, index = notes[:count].T
    settled = at_s > at_s[0] + min(10.0, seconds / 5)
    late_ms = (at_s - index / camera.fps) * 1e3
    fifth = max(1, len(memory) // 5)
    early, late = statistics.median(memory[fifth : 2 * fifth]), statistics.median(memory[-fifth:])
    return [
        ("captured, answered, dropped", f"{source.captured}, {source.answered}, {source.dropped}"),
        ("reconnects, out of order", f"{source.reconnects}, {source.disordered}"),
        ("age p50, p95, p99, ms", ", ".join(f"{np.percentile(age_ms, p):.1f}" for p in (50, 95, 99))),
        ("slope by the ledger, ms a second", f"{np.polyfit(at_s[settled], age_ms[settled], 1)[0]:+.4f}"),
        ("slope by numbers, ms a second", f"{np.polyfit(at_s[settled], late_ms[settled], 1)[0]:+.4f}"),
        ("memory, MB", f"{early / 1e6:.1f}, then {late / 1e6:.1f} ({late / early - 1:+.2%})"),
        ("processor, ms a frame", f"{1e3 * cpu_s / source.captured:.2f}"),
    ]


if __name__ == "__main__":
    main()
