"""Show what a bundle's verification says: gates with their limits, then the figures. It reads plain JSON data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import console

_SHARES = {
    "top1": "same top-1",
    "accuracy_model": "accuracy, torch",
    "accuracy_file": "accuracy, bundle",
    "box_iou_median": "overlap of boxes, median",
    "box_iou_least": "overlap of boxes, least",
    "drift_iou": "overlap of tracks",
    "auc_model": "AUC on the clips, torch",
    "auc_file": "AUC on the clips, bundle",
}
_NUMBERS = {
    "cosine_median": "cosine, median",
    "cosine_least": "cosine, least",
    "relative_median": "relative error, median",
    "relative_most": "relative error, most",
    "noise_relative": "the model's own noise",
}


def show(verification: Mapping[str, Any]) -> None:
    """Print the gates as a table, then what was compared with what, and every figure."""
    gates = verification.get("gates") or []
    if gates:
        console.table(("gate", "measured", "limit", ""), [_row(gate) for gate in gates], right="-rr")
        console.say()
    console.facts([*_circumstances(verification), *_figures(verification.get("figures") or {})])
    for note in verification.get("notes") or []:
        console.say(f"Note: {note}.")


def _row(gate: Mapping[str, Any]) -> tuple[str, str, str, str]:
    state = "passed" if gate.get("passed") else "FAILED"
    if not gate.get("counted", True):
        state = f"reported, not gated ({state.lower()})"
    write, word = (share, "at least") if gate.get("floor") else (figure, "at most")
    return (str(gate.get("name")), write(gate.get("value")), f"{word} {write(gate.get('limit'))}", state)


def _circumstances(verification: Mapping[str, Any]) -> list[tuple[str, str]]:
    pictures = verification.get("pictures") or {}
    on = f" on {pictures.get('count')} pictures: {pictures.get('source')}" if pictures else ""
    told = [("compared with", f"{verification.get('compared_with')}{on}"), ("run by", str(verification.get("engine")))]
    file = verification.get("file") or {}
    return [(name, value) for name, value in told if "None" not in value] + [(k, figure(v)) for k, v in file.items()]


def _figures(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = {**_SHARES, **_NUMBERS}
    names = [*(n for n in known if n in figures), *(n for n in figures if n not in known)]
    return [(known.get(n, n.replace("_", " ")), (share if n in _SHARES else figure)(figures[n])) for n in names]


def share(value: Any) -> str:
    """Return a share of 1 as a percentage."""
    return f"{value:.1%}" if isinstance(value, int | float) else figure(value)


def figure(value: Any) -> str:
    """Return a figure in as many digits as it deserves."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(figure(v) for v in value[:4]) + (f" … {len(value)} in all" if len(value) > 4 else "")
    return str(value)
