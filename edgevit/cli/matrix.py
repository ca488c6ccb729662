"""Prove a table of models, formats and precisions; each cell is a real export in a process that may die alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress, Step
from ..proven import Cell, share
from ..registry import door
from . import console
from .bundles import size_text
from .parsing import duration, number, whole

if TYPE_CHECKING:
    from edgevit.exporters.matrix.order import Outcome

HELP = """Export every model to every format in fp32 and fp16 (int8 for one size of each family), prove each file, time
it here, and keep a line a cell. What is finished is not run again: stop with Ctrl-C and type the same to go on.

  edgevit matrix --models 'levit*' --formats onnx coreml
  edgevit matrix --out build/matrix.jsonl          the whole table: some hours
  edgevit matrix --cells 10 --rotate 7 --check     ten cells, held against what ships: exit 1 if one is lost"""

_GIB = 1 << 30
_STEP = "prove the cells"
_GOOD = ("proven", "runs")
_HEADS = ("cell", "proof", "size", "error", "ms", "of torch", "operators")
_MOST_ROWS = 60
"""What is still read on a terminal; the table of all is a page of its own."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    several = {"nargs": "+", "default": []}
    parser.add_argument("--models", metavar="GLOB", **several, help="names or patterns (default: the whole list)")  # type: ignore[arg-type]
    parser.add_argument("--formats", metavar="F", **several, help="formats (default: all)")  # type: ignore[arg-type]
    parser.add_argument("--precisions", metavar="P", **several, help="precisions (default: fp32 fp16, and some int8)")  # type: ignore[arg-type]
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the cells here (default edgevit-matrix.jsonl)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", dest="again", action="store_const", const="nothing", help="go on (the default)")
    again.add_argument("--retry", dest="again", action="store_const", const="unproven", help="run unproven cells again")
    again.add_argument("--fresh", dest="again", action="store_const", const="everything", help="run every cell again")
    parser.set_defaults(again="nothing")
    parser.add_argument("--timeout", type=duration, default=900.0, metavar="TIME", help="of one cell (default 15m)")
    parser.add_argument("--memory", type=number, default=8.0, metavar="GIB", help="of one cell's process, in GiB (8)")
    parser.add_argument("--jobs", type=whole(1, 64), metavar="N", help="models at a time (default: one a core)")
    parser.add_argument("--cells", type=whole(1, 100_000), metavar="N", help="only so many cells")
    parser.add_argument("--rotate", type=whole(0, 1 << 31), metavar="N", help="with --cells: those whose turn it is")
    parser.add_argument("--check", action="store_true", help="fail if a cell that ships as proven is not proven now")


def run(args: argparse.Namespace) -> int:
    """Run the cells, show the table, and with ``--check`` tell by the exit code what was lost."""
    if args.memory <= 0:
        from ..errors import UsageError

        raise UsageError(f"--memory must be more than 0 GiB, not {args.memory:g}. Type: --memory 8")
    out = args.out or (None if args.check else Path("edgevit-matrix.jsonl"))
    limits = door("edgevit.exporters.matrix.child:Limits")(args.timeout, int(args.memory * _GIB))
    with console.progress() as progress:
        try:
            found: Outcome = door("edgevit.exporters.matrix.order:matrix")(
                models=args.models,
                formats=args.formats,
                precisions=args.precisions,
                out=out,
                limits=limits,
                jobs=args.jobs,
                count=args.cells,
                turn=args.rotate,
                check=args.check,
                again=args.again,
                told=_teller(progress),
            )
        except KeyboardInterrupt:
            if out is not None:
                console.note(f"edgevit: what is finished is kept in {out}; type the same again to go on.")
            raise
    _answer(found, out, args)
    for cell in found.lost:
        console.note(f"edgevit: {' '.join(cell.key)} ships as proven and is now {cell.verdict}: {cell.reason}")
    none = not any(cell.verdict in _GOOD for cell in found.cells)
    if none:
        console.note("edgevit: no cell is proven. The reasons stand in the table; edgevit doctor names what is absent.")
    return 1 if found.lost or none else 0


def _teller(progress: Progress) -> Callable[[Cell, int, int], None]:
    """Return who is told of each cell: one bar that moves on a terminal, a line a cell elsewhere."""
    live = console.fancy(sys.stderr)
    if live:
        progress(Step(_STEP, "making the first models"))

    def told(cell: Cell, count: int, total: int) -> None:
        if live:
            progress(Step(_STEP, f"{' '.join(cell.key)}: {_in_words(cell)}", count, total))
        else:
            progress(Step(" ".join(cell.key), f"{_in_words(cell)} ({count} of {total})", seconds=cell.seconds or 0.0))

    return told


def _in_words(cell: Cell) -> str:
    """Say how a cell fared, with what was measured."""
    told = [cell.verdict, cell.reason if cell.verdict not in _GOOD else None]
    told += [f"{cell.relative:.1e}" if cell.relative is not None else None]
    told += [f"{cell.latency_ms:.1f} ms" if cell.latency_ms is not None else None]
    return ", ".join(text for text in told if text)


def _answer(found: Outcome, out: Path | None, args: argparse.Namespace) -> None:
    proven, judged = share(found.cells)
    if args.json:
        lost = [list(cell.key) for cell in found.lost]
        cells = [cell.to_dict() for cell in found.cells]
        console.answer({"cells": cells, "proven": proven, "judged": judged, "lost": lost, "file": str(out or "")})
        return
    formats = list(dict.fromkeys(cell.format for cell in found.cells))
    models = list(dict.fromkeys(cell.model for cell in found.cells))
    of = {
        (model, name): [c for c in found.cells if (c.model, c.format) == (model, name)]
        for model in models
        for name in formats
    }
    console.table(("model", *formats), [(model, *(_brief(of[model, name]) for name in formats)) for model in models])
    console.say()
    made = [c for c in found.cells if c.verdict in _GOOD]
    if 0 < len(made) <= _MOST_ROWS:
        console.table(_HEADS, [_row(cell) for cell in made])
        console.say()
    unproven = [c for c in found.cells if c.verdict not in _GOOD]
    if unproven:
        rows = [(" ".join(c.key), c.verdict, c.op or "-", c.reason or "-") for c in unproven]
        console.table(("not proven", "verdict", "operator", "reason"), rows)
        console.say()
    hours = sum(c.seconds or 0.0 for c in found.cells) / 3600
    console.say(f"{proven} of {judged} fp32 and fp16 cells are proven; the cells took {hours:.1f} hours of one core.")
    if out is not None:
        more = "; --json or fewer --models show the figures of each" if len(made) > _MOST_ROWS else ""
        console.say(f"They are kept in {out}{more}.")


def _row(cell: Cell) -> tuple[str, ...]:
    """Tell what is known of a file: its proof, size, error, speed and the places of its operators."""
    proof = "; ".join(text for text in (cell.proof, cell.stand_in) if text)
    return (
        " ".join(cell.key),
        f"{cell.verdict}, {proof}" if proof else cell.verdict,
        size_text(cell.size_bytes),
        f"{cell.relative:.1e}" if cell.relative is not None else "-",
        f"{cell.latency_ms:.3g}" if cell.latency_ms is not None else "-",
        f"{cell.ratio:.2f}" if cell.ratio is not None else "-",
        "; ".join(text for text in (cell.placed, cell.reason) if text) or "-",
    )


def _brief(cells: Sequence[Cell]) -> str:
    """Name the precisions of one model in one format, each with its verdict where that is not proven."""
    return ", ".join(c.precision if c.verdict == "proven" else f"{c.precision} {c.verdict}" for c in cells) or "-"
