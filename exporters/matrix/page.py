"""Write the table of what is proven as a page of Markdown; it says nothing that is not in proven.json."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from edgevit.formats import FORMATS
from edgevit.proven import Cell, Proven, share

_PRECISIONS = ("fp32", "fp16", "int8")
_PROOFS = {
    "executed": "the format's own engine ran the file here",
    "interpreted": "the file was evaluated operation by operation: its engine runs on a Mac only",
    "graph-only": "ONNX Runtime ran the file: its engine is built on the device",
}

_HEAD = """# What is proven

Made from `edgevit/proven.json` by `make matrix`; not written by hand.
`edgevit list --format coreml` reads the same data, and `edgevit matrix --models levit_128s` proves a part of it anew.

{summary}

A cell is a real export with its gates: the file is made, run on pictures and compared with the model in torch.
The weights are random and alive (only `shvit_shapes` is trained), so int8 of the others is run and not gated.

Made on {origins}.
{clock}
"""

_CLOCK = """
Times are medians of processor time in milliseconds, one thread, the file and torch in turns in one process. Waiting for
a core that a neighbour has is not in them; what other work on the machine did to caches and memory is. "of torch" is
the share of torch's own time. Both are of this machine only: they compare the entries of this page, and
`edgevit bench BUNDLE` measures yours."""

_WALL = """
{count} of the {timed} times are older and were taken by the clock on the wall."""

_LEGEND = """Each entry is `fp32 / fp16 / int8`: milliseconds where the file is proven and could be timed here, `yes`
where it is proven and its engine does not run here, `(…)` where it runs and nothing could be gated, else the verdict.
"""

_CAUSES = "What was found out of the causes stands in [refused.md](refused.md).\n"

_DETAILS = """"error" is the largest difference from torch, relative to the largest output, as a median over pictures.
"operators" says how many run where: seen in the engine here or, for Core ML, TensorRT and GPUs, by published rules.
"""


def page(data: Proven) -> str:
    """Return the text of docs/matrix.md."""
    formats = [name for name in FORMATS if any(cell.format == name for cell in data.cells)]
    parts = [
        _HEAD.format(summary=_summary(data), origins=data.origins() or data.machine, clock=_clock(data.cells)),
        "## By format\n",
        _table(_FORMAT_HEADS, [_format_row(name, data.select(format=name)) for name in formats]),
        "## By model\n",
        _LEGEND,
        _table(("model", *(FORMATS[name].title for name in formats)), _model_rows(data, formats)),
        "## Not proven\n",
        _CAUSES,
        _unproven(data.cells),
        "## What falls back\n",
        _falling(data.cells),
        "## Every file\n",
        _DETAILS,
        *(details(name, data.select(format=name)) for name in formats),
        "Made with " + ", ".join(f"{name} {version}" for name, version in sorted(data.tools.items())) + ".\n",
    ]
    return "\n".join(parts)


def _summary(data: Proven) -> str:
    proven, judged = share(data.cells)
    models = len({cell.model for cell in data.cells})
    hours = sum(cell.seconds or 0.0 for cell in data.cells) / 3600
    return (
        f"**{proven} of {judged} fp32 and fp16 cells are proven ({_percent(proven, judged)})**: {models} models, "
        f"{len(data.cells)} cells with int8, {hours:.1f} hours of one core, {data.made}."
    )


def _clock(cells: Iterable[Cell]) -> str:
    timed = [cell for cell in cells if cell.latency_ms is not None]
    wall = sum(cell.clock is None for cell in timed)
    return _CLOCK + (_WALL.format(count=wall, timed=len(timed)) if wall else "")


_FORMAT_HEADS = (
    "format", "proof", "fp32", "fp16", "int8 runs", "error fp32", "error fp16", "of torch fp32", "of torch int8"
)  # fmt: skip


def _format_row(name: str, cells: Sequence[Cell]) -> tuple[str, ...]:
    of = {p: [c for c in cells if c.precision == p] for p in _PRECISIONS}
    proofs = Counter(cell.proof for cell in cells if cell.proof)
    proof = proofs.most_common(1)[0][0] if proofs else "-"
    ran = sum(c.verdict in ("proven", "runs") for c in of["int8"])
    return (
        FORMATS[name].title,
        f"{proof}: {_PROOFS[proof]}" if proof in _PROOFS else proof,
        *("{} of {}".format(*share(of[p], (p,))) for p in ("fp32", "fp16")),
        f"{ran} of {len(of['int8'])}",
        *(_median([c.relative for c in of[p] if c.verdict == "proven"], ".1e") for p in ("fp32", "fp16")),
        *(_median([c.ratio for c in of[p]], ".2f") for p in ("fp32", "int8")),
    )


def _model_rows(data: Proven, formats: Sequence[str]) -> list[tuple[str, ...]]:
    of = {(c.model, c.format, c.precision): c for c in data.cells}
    models = dict.fromkeys(cell.model for cell in data.cells)
    return [
        (
            f"`{model}`",
            *(" / ".join(entry(of[model, f, p]) for p in _PRECISIONS if (model, f, p) in of) or "-" for f in formats),
        )
        for model in models
    ]


def entry(cell: Cell) -> str:
    """Return a cell in a word or a number."""
    time = f"{cell.latency_ms:.3g}" if cell.latency_ms is not None else "yes"
    if cell.verdict == "proven":
        return time
    return f"({time})" if cell.verdict == "runs" else cell.verdict


_DETAIL_HEADS = ("model", "precision", "proof", "size", "error", "ms", "of torch", "operators")


def details(name: str, cells: Iterable[Cell]) -> str:
    """Return what is known of each file of a format, folded away."""
    made = [cell for cell in cells if cell.verdict in ("proven", "runs")]
    summary = f"<summary>{FORMATS[name].title}: {len(made)} files</summary>"
    return f"<details>{summary}\n\n{_table(_DETAIL_HEADS, [_detail_row(cell) for cell in made])}\n</details>\n"


def _detail_row(cell: Cell) -> tuple[str, ...]:
    proof = "; ".join(text for text in (cell.proof, cell.stand_in) if text) or "-"
    return (
        f"`{cell.model}`",
        cell.precision,
        proof if cell.verdict == "proven" else f"{proof}, not gated",
        f"{cell.size_bytes / 1e6:.1f} MB" if cell.size_bytes is not None else "-",
        f"{cell.relative:.1e}" if cell.relative is not None else "-",
        f"{cell.latency_ms:.3g}" if cell.latency_ms is not None else "-",
        f"{cell.ratio:.2f}" if cell.ratio is not None else "-",
        "; ".join(text for text in (cell.placed, cell.reason) if text) or "-",
    )


def _unproven(cells: Iterable[Cell]) -> str:
    rows = [
        (f"`{c.model}`", c.format, c.precision, c.verdict, f"`{c.op}`" if c.op else "-", c.reason or "-")
        for c in cells
        if c.verdict not in ("proven", "runs")
    ]
    if not rows:
        return "Nothing.\n"
    return _table(("model", "format", "precision", "verdict", "operator", "reason"), rows)


def _falling(cells: Iterable[Cell]) -> str:
    """Count, by format, precision and unit, how many files have operators that leave the unit they are meant for."""
    units: dict[tuple[str, str, str, str], list[Counter[str]]] = {}
    for cell in cells:
        for unit in cell.placement:
            key = (FORMATS[cell.format].title, cell.precision, str(unit["unit"]), str(unit["basis"]))
            units.setdefault(key, []).append(Counter(unit.get("fallbacks") or {}))
    rows = []
    for key, found in units.items():
        kinds: Counter[str] = sum(found, Counter())
        most = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        rows.append((*key, f"{sum(map(bool, found))} of {len(found)}", most or "-"))
    return _table(("format", "precision", "meant for", "known by", "files that fall back", "most of what"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines) + "\n"


def _median(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(statistics.median(known), form) if known else "-"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none was run"
