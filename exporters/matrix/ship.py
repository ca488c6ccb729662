"""Write what ships of a store: proven.json and its page. ``python -m edgevit.exporters.matrix.ship STORE``.

Cells of the table that this store lacks are kept as they ship, each with its own machine and day; what was made with
other versions of the tools is not merged. Cells that are no part of the table any more go.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgevit import proven
from edgevit.errors import InputError
from edgevit.formats import FORMATS, PRECISIONS
from edgevit.proven import Cell, Proven

from .page import page
from .plan import plan
from .sources import code_of
from .store import Line, read_lines

_OF_ONE_CELL = ("weights", "code")
"""What stands among a line's tools and is no version of a package."""


def gather(lines: Sequence[Line], shipped: Proven) -> Proven:
    """Return what ships after a run: its cells over those that shipped before, in the order of the plan."""
    if not lines:
        raise InputError("There is no cell in this store. Type: edgevit matrix")
    run = [line for line in lines if line.cell.verdict != "not run"]
    new = {line.cell.key: replace(line.cell, machine=line.machine, made=line.at[:10]) for line in run}
    models = {model: place for place, model in enumerate(dict.fromkeys(key[0] for key in plan()))}
    old = [cell for cell in shipped.cells if cell.key not in new and cell.model in models]
    tools = _one_version([*([shipped.tools] if old else []), *(line.tools for line in run)])
    newest = max(lines, key=lambda line: line.at)
    head = Proven((), newest.machine, newest.at[:10], tools)
    kept = [replace(cell, machine=cell.machine or shipped.machine, made=cell.made or shipped.made) for cell in old]
    kept += [cell for cell in new.values() if cell.model in models]
    kept.sort(key=lambda cell: (models[cell.model], *_order(cell)))
    return replace(head, cells=tuple(_short(cell, head) for cell in kept))


def _one_version(used: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return tool -> version where all agree: the page names one version of each, and says it of every cell."""
    tools: dict[str, str] = {}
    for name, version in (pair for told in used for pair in told.items() if pair[0] not in _OF_ONE_CELL):
        if tools.setdefault(name, version) != version:
            raise InputError(
                f"Some of the cells were made with {name} {tools[name]}, others with {version}; what ships names one. "
                "Type: edgevit matrix --out STORE to make the older anew, or add --alone to ship this store only"
            )
    return tools


def _short(cell: Cell, head: Proven) -> Cell:
    """Leave out of a cell what the head says of all."""
    return replace(
        cell,
        machine=None if cell.machine == head.machine else cell.machine,
        made=None if cell.made == head.made else cell.made,
    )


def stale(lines: Sequence[Line]) -> int:
    """Count the cells that were made by other code of edgevit than this."""
    code = {name: code_of(name) for name in FORMATS}
    return sum(line.tools.get("code") != code[line.cell.format] for line in lines)


def _order(cell: Cell) -> tuple[int, int]:
    return list(FORMATS).index(cell.format), PRECISIONS.index(cell.precision)


def main(argv: Sequence[str] | None = None) -> None:
    """Read a store, write the data and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="the file of edgevit matrix")
    parser.add_argument("--data", type=Path, default=proven.FILE, help="what ships (default: edgevit's own)")
    parser.add_argument("--page", type=Path, default=Path("docs/matrix.md"), help="the page (default docs/matrix.md)")
    parser.add_argument("--alone", action="store_true", help="keep no cell of what shipped before")
    args = parser.parse_args(argv)
    lines = read_lines(args.store)
    shipped = proven.load(args.data)
    made = gather(lines, replace(shipped, cells=()) if args.alone else shipped)
    args.data.write_text(made.to_json(), encoding="utf-8")
    args.page.write_text(page(made), encoding="utf-8")
    done, judged = proven.share(made.cells)
    print(f"{args.data}: {done} of {judged} fp32 and fp16 cells are proven; the page is {args.page}")
    if old := stale(lines):
        print(f"{old} cells were made by other code of edgevit. To make them anew: edgevit matrix --out {args.store}")


if __name__ == "__main__":
    main()
