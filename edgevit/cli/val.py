"""Measure a bundle's accuracy: on pictures whose class is known, or on sequences whose boxes are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..registry import TASK_OF_FAMILY, door
from . import console, val_track
from .bundles import find_bundle
from .parsing import whole

if TYPE_CHECKING:
    from edgevit.bundle import Bundle
    from edgevit.runtime.evaluate import Evaluation, Score

HELP = """Measure the accuracy of a bundle on a folder of pictures: a sub-folder for each class, or file names that
begin with the class (n01440764_tench.jpg). Classes go by label id, label or number; the answer says which rule fitted.

  edgevit val levit_128s-onnx-fp32 imagenet/val --limit 1000
  edgevit val shvit_shapes-onnx-int8 'synthetic://shapes?count=2000'

A tracker takes folders of frames with groundtruth.txt (OTB, GOT-10k, VOT) or built-in clips, alone or beside OpenCV's
own trackers:

  edgevit val track hit_nano sequences/ --against csrt,kcf,static
  edgevit val track hit_nano 'synthetic://clip?kind=hidden&seed=3'"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "words",
        nargs="+",
        metavar="[track] BUNDLE DIR",
        help="a bundle; a folder of pictures or of sequences, synthetic://shapes?count=2000 or synthetic://clip",
    )
    parser.add_argument("--limit", type=whole(1, 10_000_000), metavar="N", help="take N pictures, evenly from all")
    parser.add_argument(
        "--color", choices=("spec", "both"), default="spec", help="both: also with red and blue exchanged"
    )
    val_track.configure(parser)
    parser.add_argument("--engine", metavar="E", help="another engine than the format's own")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of the engine")
    parser.add_argument("--precision", metavar="P", help="what the engine computes in (default: exact fp32)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    from .. import open_bundle

    task, name, where = named(args.words)
    bundle = open_bundle(find_bundle(name))
    if task not in (None, bundle.manifest.task):
        raise UsageError(f"{bundle.path} is made to {bundle.manifest.task}, not to {task}. Leave '{task}' out.")
    if bundle.manifest.task == "track":
        return val_track.run(args, bundle, where)
    if args.against or args.origin is not None:
        raise UsageError(f"--against and --origin are for trackers; {bundle.path} is made to {bundle.manifest.task}.")
    return _classify(args, bundle, where)


def named(words: Sequence[str]) -> tuple[str | None, str, str]:
    """Return the task, if one is named, the bundle and the folder."""
    if len(words) == 3 and words[0] in set(TASK_OF_FAMILY.values()):
        return words[0], words[1], words[2]
    if len(words) == 2:
        return None, words[0], words[1]
    raise UsageError("Expected a bundle and a folder. Type: edgevit val BUNDLE DIR")


def _classify(args: argparse.Namespace, bundle: Bundle, where: str) -> int:
    from .. import load

    spec = bundle.manifest.spec
    classes = bundle.manifest.graphs["main"].outputs[0].shape[-1]
    truth = door("edgevit.runtime.truth:find_samples")(where, spec, classes)
    truth = truth.spread(args.limit) if args.limit else truth
    with (
        load(bundle, engine=args.engine, threads=args.threads, precision=args.precision) as session,
        console.progress() as progress,
    ):
        evaluate = door("edgevit.runtime.evaluate:evaluate")
        found: Evaluation = evaluate(session, truth, both_colors=args.color == "both", progress=progress)
    if args.json:
        about = {"bundle": str(bundle.path), "where": where, "engine": session.engine_description}
        console.answer({**about, **found.to_dict()})
    else:
        _show(bundle.path, session.engine_description, found)
    return 0


def _show(path: Path, engine: str, found: Evaluation) -> None:
    if not found.trained:
        console.say("UNTRAINED weights: these figures are those of chance.\n")
    speed = ", ".join(f"{stage} {ms:.2f}" for stage, ms in found.speed_p50.items())
    pairs = [("bundle", str(path)), ("engine", engine), *_score("", found.score)]
    pairs += _score(" (red and blue exchanged)", found.swapped) if found.swapped else []
    pairs += [
        ("classes by", f"{found.rule} ({found.classes_seen} classes seen)"),
        ("speed", f"median ms: {speed}"),
        ("slowest", "\n".join(f"{ms:.1f} ms  {name}" for name, ms in found.slowest[:3])),
    ]
    pairs += [("worst", ", ".join(f"{n} {right}/{count}" for n, right, count in found.worst))] if found.worst else []
    pairs += [("note", note) for note in found.notes]
    console.facts(pairs)
    if found.swapped and found.swapped.top1_interval[0] > found.score.top1_interval[1]:
        console.say("\nIt is better with red and blue exchanged: these weights were trained on the other colour order.")
    for name, reason in found.unreadable[:5]:
        console.note(f"left out, not readable: {reason or name}")
    if len(found.unreadable) > 5:
        console.note(f"… {len(found.unreadable)} pictures in all could not be read")


def _score(what: str, score: Score) -> list[tuple[str, str]]:
    low, high = score.top1_interval
    pairs = [(f"top-1{what}", f"{score.top1:.2%} of {score.count} (95% sure: {low:.2%} to {high:.2%})")]
    return pairs + ([(f"top-5{what}", f"{score.top5:.2%}")] if score.top5 is not None else [])
