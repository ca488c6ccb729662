"""Run a bundle live, on cameras, streams or files: answers, a line of the ledger a second, and its table at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..registry import door
from . import console
from .bundles import find_bundle
from .outputs import add_window, code_of, outputs_of
from .page import add_page_options, metrics_of, serving_of
from .parsing import duration, latency, positive, whole
from .pausing import pausing
from .status import Status
from .track import add_aims

if TYPE_CHECKING:
    from edgevit.runtime.ledger_report import LedgerReport
    from edgevit.runtime.sustained import Minute

HELP = """Run a bundle on a camera (0, /dev/video0, csi://0), a stream (rtsp://, http://), screen://, a video, a folder,
a .streams list of several, or a built-in scene. Of a live source the newest frame is answered, of a file every one.
Each OUTPUT is a video, a folder, a .jsonl or .csv file; --json prints one JSON line a frame, the ledger as the last.
Of several sources each gets a video or a folder of its own, and every line says which source it is of.

  edgevit run shvit_shapes 0 --show                         in a window; q ends it
  edgevit run levit_128s-onnx-fp32 'rtsp://camera/1?timeout=5s' answers.jsonl --max-latency 80ms
  edgevit run shvit_shapes hall.streams seen.mkv            seen-gate.mkv, seen-yard.mkv
  edgevit run levit_256-onnx-fp32 0 --max-latency 80ms --fallback levit_128s-onnx-fp32
  edgevit run hit_nano 0 --box 312,146,106,96 --for 10m     a line a minute: pace, ages, clock, heat
  edgevit run shvit_shapes clip.mp4 --own-pace              a file as if it were a camera
  edgevit run shvit_shapes 0 --serve 8080                   a page to watch it; see docs/page.md
  edgevit run shvit_shapes 0 --metrics 9464                 http://127.0.0.1:9464/metrics for Prometheus"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or .zip, or a model that ships with one")
    parser.add_argument("source", metavar="SOURCE", help="a camera, a stream, a file, a .streams list")
    parser.add_argument("outputs", nargs="*", default=[], metavar="OUTPUT", help="video, folder, .jsonl or .csv file")
    parser.add_argument("--policy", choices=("newest", "every"), help="which frames count (default: newest if live)")
    parser.add_argument(
        "--max-latency", type=latency, metavar="T", help="skip frames whose answer would be older: 80ms"
    )
    parser.add_argument(
        "--fallback",
        action="append",
        default=[],
        metavar="BUNDLE",
        help="a faster bundle that answers while --max-latency is not kept; again for several, the fastest last",
    )
    parser.add_argument("--max-fps", type=positive, metavar="N", help="answer no more often")
    parser.add_argument("--for", dest="seconds", type=duration, metavar="T", help="stop after 60s, 10m or 1h")
    parser.add_argument("--limit", type=whole(1, 10**9), metavar="N", help="stop after N answers")
    parser.add_argument(
        "--batch", type=whole(1, 1024), metavar="N", help="answer N sources' frames at once, if the bundle can"
    )
    add_window(parser)
    parser.add_argument("--own-pace", action="store_true", help="play a file at its own pace, as if it were a camera")
    add_aims(parser)
    add_page_options(parser)
    parser.set_defaults(task=None)
    parser.add_argument("--engine", metavar="E", help="another engine than the format's own")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of the engine")
    parser.add_argument("--precision", metavar="P", help="what the engine computes in (default: exact fp32)")


def run(args: argparse.Namespace) -> int:
    """Answer until it ends."""
    from .. import load

    outputs = outputs_of(args, args.source)
    path, *others = map(find_bundle, [args.bundle, *args.fallback])
    if others and args.max_latency is None:
        raise UsageError("--fallback answers while a limit is not kept, and there is none. Type: --max-latency 80ms")
    with ExitStack() as stack:
        # Outputs, port and input first: a mistyped one should not cost the loading of a model.
        door("edgevit.runtime.sinks:check_outputs")(outputs)
        serving = serving_of(args)
        if serving is not None:
            stack.callback(serving.close)
            if args.record_dir is not None:
                door("edgevit.runtime.sinks:check_folder")(args.record_dir)
        metrics = metrics_of(args)
        if metrics is not None:
            stack.callback(metrics.close)
        sources = door("edgevit.apps.run:opened")(args.source)
        for source in sources:
            stack.callback(source.close)
        session, *fallbacks = [
            stack.enter_context(
                load(one, task=args.task, engine=args.engine, threads=args.threads, precision=args.precision)
            )
            for one in (path, *others)
        ]
        engine = session.engine_description
        plan = door("edgevit.runtime.plan:Plan")(args.policy, args.max_latency, args.max_fps, args.limit, args.batch)
        minutes: list[dict[str, Any]] = []
        status = Status()
        report: LedgerReport = door("edgevit.apps.run:run")(
            session,
            sources,
            save=outputs,
            plan=plan,
            seconds=args.seconds,
            aims=args.aims,
            own_pace=args.own_pace,
            once=args.once,
            serving=serving,
            metrics=metrics,
            fallbacks=fallbacks,
            on_start=stack.enter_context(pausing()),
            on_result=None if args.json else _change_printer(status),
            on_told=console.answer if args.json else None,
            on_event=status.note,
            on_line=None if args.json else status.now,
            on_minute=_minute_printer(minutes, status),
            on_report=_machine_ledger(engine, minutes) if args.json else partial(_show, engine, status),
        )
    for source in sources:
        for fault in source.faults:
            console.note(f"told by the source: {fault}")
    return code_of(report.stopped)


def _machine_ledger(engine: str, minutes: list[dict[str, Any]]) -> Callable[[LedgerReport], None]:
    def show(report: LedgerReport) -> None:
        console.answer({"ledger": {**report.to_dict(), **({"minutes": minutes} if minutes else {}), "engine": engine}})

    return show


def _show(engine: str, status: Status, report: LedgerReport) -> None:
    status.end()
    heads = (
        door("edgevit.runtime.ledger_report:STAGE_HEADS"),
        door("edgevit.runtime.ledger_report:SOURCE_HEADS"),
    )
    if report.answered:
        console.say("\nHow old frames were, in ms from their capture (of a file: from their reading):")
        console.table(heads[0], report.stage_rows(), right="-rrrrrr")
    console.say()
    console.table(heads[1], report.source_rows(), right="-rrrrrr")
    if report.models:
        console.say("\n" + ", ".join(f"{count} answers by {name}" for name, count in report.models))
    for switch in report.switches:
        console.say(f"{switch.at_s:6.1f} s  {switch.old} -> {switch.new}: {switch.why}")
    why = f"; {report.stopped}" if report.stopped else ""
    count = f"{report.answered} answer{'' if report.answered == 1 else 's'}"
    console.note(f"{count} in {report.seconds:.1f} s ({engine}){why}.")


def _change_printer(status: Status) -> Callable[[Any], None]:
    """Print an answer that says something else than its source's last one: thirty lines a second are read by nobody."""
    from ..pictures import is_picture_name

    last: dict[str, object] = {}

    def show(result: Any) -> None:
        source, said = result.frame.source, _said(result)
        place = source.rpartition("/")[0] if is_picture_name(source) else source
        if last.get(place) != said:
            last[place] = said
            status.say(f"{source}#{result.frame.index}: {result}")

    return show


def _said(result: Any) -> object:
    return result.top1 if hasattr(result, "top1") else [(track.id, track.state) for track in result]


def _minute_printer(kept: list[dict[str, Any]], status: Status) -> Callable[[Minute], None]:
    def show(minute: Minute) -> None:
        kept.append(minute.to_dict())
        status.note(str(minute))

    return show
