"""Be the process of one model: make it once, fork a child a format, tell each cell: ``python -m ...worker ORDER``.

A child proves the precisions of its format one after another. When it dies, the cell it was at is tried again alone,
if others were proven before it in the same child; the rest go on in a new one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch

from edgevit import weights
from edgevit.models import create_model
from edgevit.progress import Step
from edgevit.proven import Cell
from edgevit.reading import Table

from ..quiet import quiet
from ..reference import Reference
from .cell import died, prove_cell, remembering, verdict_of
from .child import Child, Limits, Tell


def main(order: Mapping[str, Any]) -> None:
    """Prove the cells of one model and print a JSON line for each."""
    _one_core(order.get("core"))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limits = Limits(float(order["timeout_s"]), int(order["memory_bytes"]))
    model, cells = str(order["model"]), [(str(f), str(p)) for f, p in order["cells"]]
    for cell in prove(model, cells, limits, parent=int(order["parent"])):
        print(json.dumps(cell.to_dict(), allow_nan=False), file=answers, flush=True)


def _one_core(core: int | None) -> None:
    """Stay on one core with one thread: engines and converters then use one too, and a fork meets no other thread."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)


def prove(model: str, cells: list[tuple[str, str]], limits: Limits, *, parent: int) -> Iterator[Cell]:
    """Yield every cell of a model, in order, each with a verdict of its own."""
    try:
        with quiet():
            reference = remembering(create_model(model, None if model in weights.shipped() else "random"))
    except Exception as fault:
        yield from (Cell(model, *cell, **verdict_of(fault)) for cell in cells)
        return
    for format_name in dict.fromkeys(name for name, _ in cells):
        left = [precision for name, precision in cells if name == format_name]
        yield from _prove_format(reference, format_name, left, limits, parent)


def _prove_format(
    reference: Reference, format_name: str, left: list[str], limits: Limits, parent: int
) -> Iterator[Cell]:
    while left:
        proven_here = 0
        state: dict[str, str] = {}
        child = Child(partial(_tell_cells, reference, format_name, tuple(left)), limits, parent=parent)
        for message in child.messages(fresh=lambda m: "cell" in m):
            if "cell" in message:
                proven_here += 1
                left.pop(0)
                yield Cell.of(Table.of(message["cell"], ""))
            else:
                state["step"] = message["step"]
        if child.ending is None or not left:
            continue
        if proven_here and child.ending.verdict != "timeout":
            continue  # what came before may have left too little memory, or worse: alone it has a chance of its own
        key = (reference.model.name, format_name, left.pop(0))
        yield died(key, child.ending.verdict, child.ending.reason, state.get("step"))


def _tell_cells(reference: Reference, format_name: str, precisions: tuple[str, ...], tell: Tell) -> None:
    def show(step: Step) -> None:
        if step.seconds is None and not step.done:
            tell({"step": step.name})

    for precision in precisions:
        tell({"cell": prove_cell(reference, format_name, precision, show).to_dict()})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
