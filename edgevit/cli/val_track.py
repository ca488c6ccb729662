"""Measure a tracker on sequences with true boxes, beside others where asked: ``val``'s part for trackers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..registry import door
from . import console
from .parsing import whole

if TYPE_CHECKING:
    from edgevit.bundle import Bundle
    from edgevit.runtime.evaluate_track import Run
    from edgevit.runtime.track_score import TrackScore

_HEAD = ("tracker", "sequence", "AUC", "prec 20", "norm", "AO", "SR.5", "SR.75", "lost", "fps")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options that trackers alone have."""
    parser.add_argument("--against", metavar="NAMES", help="trackers beside: csrt,kcf,mil of OpenCV, static")
    parser.add_argument("--origin", type=whole(0, 1), metavar="0|1", help="the first pixel's number in groundtruth.txt")


def run(args: argparse.Namespace, bundle: Bundle, where: str) -> int:
    """Evaluate and print."""
    from .. import load

    if args.color != "spec":
        raise UsageError("--color both is for classifiers; a tracker's colours are those of its spec.")
    if where.startswith("synthetic://clip"):
        clips = door("edgevit.runtime.track_clips:built_in")(where)[: args.limit]
    else:
        clips = door("edgevit.runtime.track_truth:find_sequences")(where, origin=args.origin or 0)[: args.limit]
    rival = door("edgevit.runtime.track_rivals:rival")
    others = [name.strip() for name in (args.against or "").split(",") if name.strip()]
    trackers: dict[str, Any] = {name: rival(name) for name in others}
    with ExitStack() as stack:
        session = stack.enter_context(
            load(bundle, task="track", engine=args.engine, threads=args.threads, precision=args.precision)
        )
        progress = stack.enter_context(console.progress())
        ours = bundle.manifest.model
        runs = door("edgevit.runtime.evaluate_track:evaluate")({ours: session, **trackers}, clips, progress=progress)
    summary = door("edgevit.runtime.evaluate_track:summary")
    means = {name: summary(runs, name) for name in (ours, *trackers)}
    if args.json:
        about = {"bundle": str(bundle.path), "where": where, "engine": session.engine_description}
        whole_set = {name: {**score.to_dict(), "fps": round(fps, 1)} for name, (score, fps) in means.items()}
        console.answer({**about, "runs": [one.to_dict() for one in runs], "mean": whole_set})
        return 0
    _show(session.engine_description, bundle.manifest.trained, runs, means)
    return 0


def _show(engine: str, trained: bool, runs: Sequence[Run], means: dict[str, tuple[TrackScore, float]]) -> None:
    if not trained:
        console.say("UNTRAINED weights: these figures are those of chance.\n")
    rows = [_row(run.tracker, run.sequence, run.score, run.fps) for run in runs]
    if len({run.sequence for run in runs}) > 1:
        rows += [_row(name, "mean of all", score, fps) for name, (score, fps) in means.items()]
    console.table(_HEAD, rows, right="--rrrrrrrr")
    count = sum(run.score.frames for run in runs if run.tracker == runs[0].tracker)
    console.say(f"\n{count} frames counted; the first of each sequence is given. {engine}. fps leaves reading out.")
    for run in runs:
        if run.events:
            told = ", ".join(f"{state} {times}" for state, times in run.events.items())
            shown = f"; shown while absent: {run.absent_shown:.0%}" if run.absent_shown is not None else ""
            console.note(f"{run.sequence}: {told}{shown}")


def _row(tracker: str, sequence: str, score: TrackScore, fps: float) -> tuple[str, ...]:
    values = (score.auc, score.precision, score.normalised, score.ao, score.sr50, score.sr75, score.lost)
    return tracker, sequence, *(f"{value:.3f}" for value in values), f"{fps:.0f}" if fps < 1e5 else "-"
