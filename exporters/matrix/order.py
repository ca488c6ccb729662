"""Carry out one order: plan the cells, run what is not finished, and hold the outcome against what ships."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from edgevit import proven
from edgevit.errors import UsageError, missing
from edgevit.proven import Cell
from edgevit.runtime.engines import cores

from .child import Limits
from .plan import checkable, plan, rotated
from .run import Finished, machine, run
from .store import Store

Again = Literal["nothing", "unproven", "everything"]

_AGAIN: dict[Again, Callable[[Cell], bool]] = {
    "nothing": lambda cell: False,
    "unproven": lambda cell: cell.verdict not in ("proven", "runs"),
    "everything": lambda cell: True,
}


@dataclass(frozen=True)
class Outcome:
    """Hold all cells of an order, and those of them that ship as proven and were not proven now."""

    cells: tuple[Cell, ...]
    lost: tuple[Cell, ...] = ()


def matrix(
    *,
    models: Sequence[str] = (),
    formats: Sequence[str] = (),
    precisions: Sequence[str] = (),
    out: Path | None = None,
    limits: Limits | None = None,
    jobs: int | None = None,
    count: int | None = None,
    turn: int | None = None,
    check: bool = False,
    again: Again = "nothing",
    told: Finished | None = None,
) -> Outcome:
    """Prove the cells of the table that are asked for, and return them all, those that were finished before too.

    ``out`` keeps them; without it nothing is kept. ``count`` takes that many, the first ones or those whose ``turn`` it
    is. ``again`` says which finished cells are run once more.
    """
    if turn is not None and not count:
        raise UsageError("A turn is a turn of some cells. Type: --cells 10 --rotate N")
    if jobs is not None and jobs > cores():
        raise UsageError(
            f"--jobs {jobs} is more than the {cores()} cores here, and models that share one slow each other. "
            f"Type: --jobs {cores()}"
        )
    if find_spec("torch") is None:
        raise missing("torch", "edgevit matrix", "all")
    cells = plan(models, formats, precisions)
    shipped = {cell.key: cell for cell in proven.load().cells} if check else {}
    if check:
        cells = checkable(cells, shipped.values())
    cells = rotated(cells, count, turn) if count else cells
    with tempfile.TemporaryDirectory(prefix="edgevit-matrix-") as folder:
        if out is None:
            out = Path(folder, "matrix.jsonl")
        with Store(out, machine()) as store:
            found = run(cells, store, limits or Limits(), jobs=jobs or cores(), again=_AGAIN[again], told=told)
    return Outcome(found, tuple(cell for cell in found if check and cell.verdict != "proven"))
