"""Write what ships of a store: proven.json and its page. ``python -m edgevit.exporters.matrix.ship STORE``.

Cells of the table that this store lacks are kept as they ship; cells that are no part of the table any more go.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edgevit import proven
from edgevit.errors import InputError
from edgevit.formats import FORMATS, PRECISIONS
from edgevit.proven import Cell, Proven

from .page import page
from .plan import plan
from .store import Line, read_lines


def gather(lines: Sequence[Line], shipped: Proven) -> Proven:
    """Return what ships after a run: its cells over those that shipped before, in the order of the plan."""
    if not lines:
        raise InputError("There is no cell in this store. Type: edgevit matrix")
    new = {line.cell.key: line.cell for line in lines if line.cell.verdict != "not run"}
    every = {**{cell.key: cell for cell in shipped.cells}, **new}
    models = {model: place for place, model in enumerate(dict.fromkeys(key[0] for key in plan()))}
    kept = [cell for cell in every.values() if cell.model in models]
    newest = max(lines, key=lambda line: line.at)
    tools = dict(shipped.tools)
    for line in lines:
        tools |= {name: version for name, version in line.tools.items() if name != "weights"}
    return Proven(
        tuple(sorted(kept, key=lambda cell: (models[cell.model], *_order(cell)))),
        machine=newest.machine,
        made=newest.at[:10],
        tools=tools,
    )


def _order(cell: Cell) -> tuple[int, int]:
    return list(FORMATS).index(cell.format), PRECISIONS.index(cell.precision)


def main(argv: Sequence[str] | None = None) -> None:
    """Read a store, write the data and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="the file of edgevit matrix")
    parser.add_argument("--data", type=Path, default=proven.FILE, help="what ships (default: edgevit's own)")
    parser.add_argument("--page", type=Path, default=Path("docs/matrix.md"), help="the page (default docs/matrix.md)")
    args = parser.parse_args(argv)
    made = gather(read_lines(args.store), proven.load(args.data))
    args.data.write_text(made.to_json(), encoding="utf-8")
    args.page.write_text(page(made), encoding="utf-8")
    done, judged = proven.share(made.cells)
    print(f"{args.data}: {done} of {judged} fp32 and fp16 cells are proven; the page is {args.page}")


if __name__ == "__main__":
    main()
