"""Run a bundle over pictures or a video: a line for each frame, annotated copies where they are asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..registry import door
from . import console
from .bundles import find_bundle
from .outputs import add_window, code_of, outputs_of
from .parsing import whole

if TYPE_CHECKING:
    from edgevit.apps.predict import Summary

HELP = """Run a bundle on a picture, a folder, a glob, a video, or built-in renders (synthetic://shapes?count=4).
Each OUTPUT is a folder, a picture, a video, a .jsonl or .csv file; --json prints one JSON line a frame instead.

  edgevit predict shvit_shapes-onnx-fp32 'synthetic://shapes?count=4' --save answers/
  edgevit predict levit_128s-onnx-fp32 'holiday/*.jpg' --json      quote a glob, else the shell opens it
  edgevit predict levit_128s-onnx-fp32 clip.mp4 annotated.mp4 answers.jsonl"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or .zip, or a model that ships with one")
    parser.add_argument(
        "input", metavar="INPUT", help="a picture, folder, 'glob', video, or synthetic://shapes?count=4"
    )
    parser.add_argument(
        "outputs", nargs="*", default=[], metavar="OUTPUT", help="where annotated copies or JSON lines go"
    )
    parser.add_argument("--save", metavar="DIR", help="a folder for annotated copies")
    add_window(parser)
    parser.add_argument("--topk", type=whole(1, 1_000_000), metavar="N", help="name the N best classes")
    parser.add_argument("--recursive", action="store_true", help="look into a folder's folders too")
    parser.add_argument("--limit", type=whole(1, 10**9), metavar="N", help="stop after N frames")
    parser.add_argument(
        "--on-error", choices=("stop", "skip"), default="stop", help="what to do with an input that cannot be read"
    )
    parser.add_argument("--engine", metavar="E", help="another engine than the format's own")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of the engine")
    parser.add_argument("--precision", metavar="P", help="what the engine computes in (default: exact fp32)")


def run(args: argparse.Namespace) -> int:
    """Answer for every frame."""
    from .. import load

    save = [*outputs_of(args, args.input), *([args.save] if args.save else [])]
    path = find_bundle(args.bundle)
    with ExitStack() as stack:
        # Outputs and input first: a mistyped name should not cost the loading of a model.
        door("edgevit.runtime.sinks:check_outputs")(save)
        open_source = door("edgevit.runtime.sources:open_source")
        source = open_source(args.input, on_error=args.on_error, recursive=args.recursive)
        stack.callback(source.close)
        session = stack.enter_context(load(path, engine=args.engine, threads=args.threads, precision=args.precision))
        summary: Summary = door("edgevit.apps.predict:predict")(
            session,
            source,
            save=save or None,
            topk=args.topk,
            limit=args.limit,
            progress=_json_line if args.json else _line_printer(),
        )
        engine = session.engine_description
    for fault in summary.faults:
        console.note(f"passed over: {fault}")
    console.note(f"{summary} ({engine})")
    if not summary.stopped and not summary.frames and summary.faults:
        raise InputError(f"Nothing of {args.input} could be read; why is said above. Name another input.")
    return code_of(summary.stopped)


def _json_line(done: int, total: int | None, result: Any) -> None:
    console.answer(result.to_dict())


def _line_printer() -> Callable[[int, int | None, Any], None]:
    from ..pictures import is_picture_name

    def show(done: int, total: int | None, result: Any) -> None:
        frame = result.frame
        # Every frame of a video has the video's name.
        place = frame.source if is_picture_name(frame.source) else f"{frame.source}#{frame.index}"
        console.say(f"{place}: {result}")

    return show
