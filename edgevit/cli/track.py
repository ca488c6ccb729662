"""Follow a target through a video: a line a frame, an annotated copy where it is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..registry import door
from . import console
from .bundles import find_bundle
from .outputs import code_of, refuse_an_opened_pattern
from .page import add_page_options, refuse_page_options
from .parsing import whole

if TYPE_CHECKING:
    from edgevit.apps.track import Summary

HELP = """Follow a target through a video, a folder of frames or a built-in clip (synthetic://clip?kind=demo).
Each OUTPUT is a video, a folder, a .jsonl or .csv file; --json prints one JSON line a frame instead.

  edgevit track synthetic://clip annotated.mp4              a built-in clip knows its target
  edgevit track match.mp4 followed.mp4 --box 312,146,106,96
  edgevit track gates.streams --box 312,146,106,96 --box 20,30,64,80     a box an input; edgevit run does the rest
  edgevit track match.mp4 --point 365,194                   a point on it; the box around it is guessed by colours
  edgevit track match.mp4 --show                            draw it or click on it, at any time; s: another, r: the
                                                            first again, space: wait, q: end
  edgevit track 0 --serve 8080                              on a page, where boxes are drawn too; see docs/page.md"""

_DEFAULT = "hit_nano"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("input", metavar="INPUT", help="a video, a folder or 'glob' of frames, synthetic://clip")
    parser.add_argument("outputs", nargs="*", default=[], metavar="OUTPUT", help="video, folder, .jsonl or .csv file")
    parser.add_argument("--bundle", default=_DEFAULT, metavar="B", help=f"a tracker's bundle (default: {_DEFAULT})")
    add_aims(parser)
    parser.add_argument("--point", type=point_of, metavar="X,Y", help="a point on it; its box is guessed")
    parser.add_argument("--show", action="store_true", help="show it in a window; draw the box or click there")
    add_page_options(parser)
    parser.add_argument("--limit", type=whole(1, 10**9), metavar="N", help="stop after N frames")
    parser.add_argument(
        "--on-error", choices=("stop", "skip"), default="stop", help="what to do with a frame that cannot be read"
    )
    parser.add_argument("--engine", metavar="E", help="another engine than the format's own")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of the engine")
    parser.add_argument("--precision", metavar="P", help="what the engine computes in (default: exact fp32)")


def add_aims(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where targets are."""
    parser.add_argument(
        "--box",
        dest="aims",
        type=aim_of,
        action="append",
        default=[],
        metavar="[NAME=]X,Y,W,H",
        help="a tracker's target in the first frame; once a source, in their order or by name",
    )


def box_of(words: str) -> tuple[float, float, float, float]:
    """Read x,y,width,height; whether the picture has such a place is seen there."""
    try:
        x, y, w, h = (float(word) for word in words.split(","))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{words}' is no box: four numbers x,y,width,height") from exc
    box: tuple[float, float, float, float] = door("edgevit.runtime.boxes:sized_box")((x, y, w, h))
    return box


def aim_of(words: str) -> Any:
    """Read a box, and the source's name before it where there is one; a name may hold the same signs."""
    name, _, box = words.rpartition("=")
    return door("edgevit.apps.aims:Aim")(box_of(box), name)


def point_of(words: str) -> tuple[float, float]:
    """Read x,y."""
    try:
        x, y = (float(word) for word in words.split(","))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{words}' is no point: two numbers x,y") from exc
    point: tuple[float, float] = door("edgevit.runtime.boxes:point_of")((x, y))
    return point


def run(args: argparse.Namespace) -> int:
    """Follow the target to the end."""
    from .. import load

    listens = args.serve is not None or args.metrics is not None
    if listens or args.input.lower().endswith(".streams") or len(args.aims) > 1:
        return _together(args)
    refuse_page_options(args)
    refuse_an_opened_pattern(args.input, args.outputs)
    path = find_bundle(args.bundle)
    with ExitStack() as stack:
        # Outputs and input first: a mistyped name should not cost the loading of a model.
        door("edgevit.runtime.sinks:check_outputs")(args.outputs)
        source = door("edgevit.runtime.sources:open_source")(args.input, on_error=args.on_error)
        stack.callback(source.close)
        screen = door("edgevit.apps.window:Window")() if args.show else None
        session = stack.enter_context(
            load(path, task="track", engine=args.engine, threads=args.threads, precision=args.precision)
        )
        summary: Summary = door("edgevit.apps.track:track")(
            session,
            source,
            box_xywh=args.aims[0].box_xywh if args.aims else None,
            point_xy=args.point,
            save=args.outputs,
            screen=screen,
            limit=args.limit,
            progress=_json_line if args.json else _event_printer(),
        )
        engine = session.engine_description
    for fault in summary.faults:
        console.note(f"passed over: {fault}")
    console.note(f"{summary} ({engine})")
    return code_of(summary.stopped)


def _together(args: argparse.Namespace) -> int:
    """Follow several targets, each in its own input or together, or on a page: that is what ``run`` can."""
    from . import run as live

    if args.serve is not None and (args.show or args.point):
        raise UsageError("With --serve, targets are shown on the page or by --box. Leave --show and --point out.")
    what = "for one target in one input, without --serve and --metrics"
    if args.show:
        typed = f"edgevit run {args.bundle} {args.input} --show --box x,y,width,height"
        raise UsageError(f"Targets are drawn with --show {what}. Type: {typed}")
    if args.point:
        raise UsageError(f"--point is {what}. Type: --box x,y,width,height for each")
    if args.on_error != "stop":
        raise UsageError(f"--on-error is {what}. Leave it out.")
    parser = argparse.ArgumentParser()
    live.configure(parser)
    given = parser.parse_args([args.bundle, args.input, *args.outputs])
    return live.run(argparse.Namespace(**{**vars(given), **vars(args), "task": "track"}))


def _json_line(done: int, total: int | None, tracks: Any) -> None:
    console.answer(tracks.to_dict())


def _event_printer() -> Callable[[int, int | None, Any], None]:
    """Print a line where a target's state changes; the boxes of all frames are for files and --json."""
    last: dict[int, str] = {}

    def show(done: int, total: int | None, tracks: Any) -> None:
        for track in tracks:
            if last.get(track.id) != track.state:
                last[track.id] = track.state
                console.say(f"frame {done - 1}: {track.id} {track}")

    return show
