"""Measure how fast bundles are on this machine, each in its own process, taking turns."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..registry import door
from . import console
from .bundles import find_bundle, size_text
from .parsing import duration, sides_hw, whole

if TYPE_CHECKING:
    from edgevit.runtime.figures import BenchReport, BundleFigures

HELP = """Measure speed, memory and size of one or more bundles. Each runs in a process of its own and they take turns,
so that ratios hold on a busy machine; named absolutes deserve an idle one.

  edgevit bench shvit_shapes-onnx-fp32
  edgevit bench a-onnx-fp32 a-onnx-int8 --iters 300 --threads 2
  edgevit bench a-onnx-fp32 --for 60s      sustained, with figures over time"""

_STAGES = ("preprocess", "inference", "postprocess")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="bundles' folders or .zips")
    parser.add_argument("--for", dest="seconds", type=duration, metavar="TIME", help="run for 60s, 5m or 1h in all")
    parser.add_argument("--iters", type=whole(1, 1_000_000), metavar="N", help="runs of each (default 100)")
    parser.add_argument("--warmup", type=whole(0, 100_000), default=10, metavar="N", help="runs before (default 10)")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of the engine")
    parser.add_argument("--engine", metavar="E", help="another engine than the format's own")
    parser.add_argument("--precision", metavar="P", help="what the engine computes in (default: exact fp32)")
    parser.add_argument(
        "--picture", type=sides_hw, default=(480, 640), metavar="HxW", help="size of the frames (default 480x640)"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print. A bundle that cannot run here has its reason in the table, and its exit code is ours."""
    if args.seconds and args.iters:
        from ..errors import UsageError

        raise UsageError("--for runs for a time and --iters for a count; give one of them.")
    with console.progress() as progress:
        report: BenchReport = door("edgevit.runtime.bench:bench")(
            [find_bundle(word) for word in args.bundles],
            iterations=args.iters or 100,
            warmup=args.warmup,
            seconds=args.seconds,
            engine=args.engine,
            threads=args.threads,
            precision=args.precision,
            picture_hw=args.picture,
            progress=progress,
        )
    if args.json:
        console.answer(report.to_dict())
    elif not all(r.fault for r in report.results):
        _show(report)
    for result in report.results:
        if result.fault:
            console.note(f"edgevit: {result.path}: {result.fault}")
    return next((r.exit_code or 1 for r in report.results if r.fault), 0)


def _show(report: BenchReport) -> None:
    height, width = report.picture_hw
    console.say(f"{report.machine}, {report.cores} cores; frames of {height}x{width}; milliseconds\n")
    ran = [r for r in report.results if not r.fault]
    several = ["ratio"] if len(report.results) > 1 else []
    heads = ("bundle", "p50", "p95", "p99", *_STAGES, *several)
    console.table(heads, [_times(report, r, several) for r in report.results], right="-" + "r" * 7)
    console.say()
    console.table(("bundle", "size", "memory", "load", "runs", "engine"), [_facts(r) for r in ran], right="-rrrr-")
    for result in ran:
        if len(result.intervals) > 1:
            _show_intervals(result)


def _times(report: BenchReport, result: BundleFigures, several: list[str]) -> tuple[str, ...]:
    if result.fault:
        return (_name(result), "failed", *["-"] * (5 + len(several)))
    total = result.stages["total"]
    ratio = report.ratio(result)
    return (
        _name(result),
        *(f"{v:.2f}" for v in (total.p50_ms, total.p95_ms, total.p99_ms)),
        *(f"{result.stages[stage].p50_ms:.2f}" for stage in _STAGES),
        *[f"{ratio:.2f}" if ratio is not None else "-" for _ in several],
    )


def _facts(result: BundleFigures) -> tuple[str, ...]:
    return (
        _name(result),
        size_text(result.size_bytes),
        size_text(result.peak_memory_bytes),
        f"{result.load_ms:.0f} ms" if result.load_ms is not None else "-",
        str(result.stages["total"].count),
        result.engine + ("" if result.trained else ", UNTRAINED weights"),
    )


def _show_intervals(result: BundleFigures) -> None:
    console.say(f"\n{_name(result)} over time" + (f" (last/first: {result.slowdown:.2f})" if result.slowdown else ""))
    rows = [
        (
            f"{i.start_s:.0f} s",
            f"{i.p50_ms:.2f}",
            f"{i.p95_ms:.2f}",
            str(i.count),
            f"{i.clock_mhz:.0f}" if i.clock_mhz else "-",
            f"{i.temperature_c:.0f}" if i.temperature_c else "-",
        )
        for i in result.intervals
    ]
    console.table(("from", "p50", "p95", "runs", "MHz", "°C"), rows, right="rrrrrr")


def _name(result: BundleFigures) -> str:
    return result.path.rstrip("/").rpartition("/")[2]
