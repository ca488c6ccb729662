"""Measure a tracker through the runtime, with and without what the runtime adds to the net, and beside other trackers.

    python -m benchmarks.tracking                                            the shipped tracker, on built-in clips
    python -m benchmarks.tracking --sequences otb/ --against csrt,kcf,mil,static --card edgevit/weights/hit_nano.json

``--card`` writes what was found into a card, as its headline.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.cli import console
from edgevit.cli.bundles import find_bundle
from edgevit.runtime import load
from edgevit.runtime.evaluate_track import Run, evaluate, summary
from edgevit.runtime.track_clips import built_in
from edgevit.runtime.track_rivals import rival
from edgevit.runtime.track_truth import find_sequences

FORMS: Mapping[str, Mapping[str, float]] = {
    "as shipped": {},
    "without the filter": {"filter": 0.0, "sharp": 1e4},
    "without the habit": {"habit": 0.0},
    "without the doubt of leaps": {"strain": 0.0},
    "the net's box alone": {"filter": 0.0, "sharp": 1e4, "habit": 0.0, "strain": 0.0, "smooth": 1.0},
}


def main() -> None:
    args = _parser().parse_args()
    shipped = open_bundle(find_bundle(args.bundle))
    clips = find_sequences(args.sequences, origin=args.origin) if args.sequences else built_in("synthetic://clip")
    others = [name for name in args.against.split(",") if name]
    with ExitStack() as stack:
        forms = {
            name: stack.enter_context(load(tuned(shipped, numbers), task="track", threads=1))
            for name, numbers in FORMS.items()
        }
        trackers: dict[str, Any] = {**forms, **{name: rival(name) for name in others}}
        runs = evaluate(trackers, clips)
        engine = forms["as shipped"].engine_description
    _show(runs, tuple(trackers))
    console.say(f"\n{shipped.path}, {engine}, one thread; AUC is the success AUC of OTB.")
    if args.card:
        _write(args.card, runs)


def tuned(bundle: Bundle, numbers: Mapping[str, float]) -> Bundle:
    """Return the bundle with other numbers for what the runtime does beside the net."""
    track = bundle.manifest.spec.track
    assert track is not None
    spec = replace(bundle.manifest.spec, track=replace(track, tuning=tuple({**dict(track.tuning), **numbers}.items())))
    return replace(bundle, manifest=replace(bundle.manifest, spec=spec))


def _show(runs: Sequence[Run], trackers: Sequence[str]) -> None:
    names = list(dict.fromkeys(run.sequence for run in runs))
    auc = {(run.tracker, run.sequence): run.score.auc for run in runs}
    rows = []
    for tracker in trackers:
        score, fps = summary(runs, tracker)
        of_each = (f"{auc[tracker, name]:.3f}" for name in names)
        rows.append((tracker, *of_each, f"{score.auc:.3f}", f"{score.precision:.3f}", f"{fps:.0f}"))
    console.table(("tracker", *names, "mean AUC", "prec 20", "fps"), rows, right="-" + "r" * (len(names) + 3))


def _write(card: Path, runs: Sequence[Run]) -> None:
    """Put the figures into the card."""
    data = json.loads(card.read_text(encoding="utf-8"))
    means = {tracker: round(summary(runs, tracker)[0].auc, 4) for tracker in dict.fromkeys(run.tracker for run in runs)}
    data["measure"] = "success AUC"
    data["accuracy"] |= {
        "tracked": means["as shipped"],
        "tracked_means": means,
        "tracked_each": {
            run.sequence: {other.tracker: round(other.score.auc, 4) for other in runs if other.sequence == run.sequence}
            for run in runs
        },
    }
    card.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--bundle", default="hit_nano", help="a tracker's bundle (default: the shipped one)")
    parser.add_argument("--sequences", help="a folder of sequences (default: a built-in clip of each kind)")
    parser.add_argument("--origin", type=int, default=0, choices=(0, 1), help="the first pixel's number")
    parser.add_argument("--against", default="static", help="csrt,kcf,mil of OpenCV, static (default: static)")
    parser.add_argument("--card", type=Path, help="write the figures into this card")
    return parser


if __name__ == "__main__":
    main()
