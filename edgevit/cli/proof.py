"""Show what a bundle's verification says: gates with their limits, then the figures. It reads plain JSON data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import console

_SAID_ELSEWHERE = ("gates", "passed", "subject")
_LONG = ("sha256_of_pixels",)  # for machines: --json has it


def show(verification: Mapping[str, Any]) -> None:
    """Print the gates as a table and everything else as names and values."""
    gates = verification.get("gates") or []
    if gates:
        console.table(("gate", "measured", "limit", ""), [_row(gate) for gate in gates], right="-rr")
        console.say()
    console.facts(list(_flat({k: v for k, v in verification.items() if k not in _SAID_ELSEWHERE})))


def _row(gate: Mapping[str, Any]) -> tuple[str, str, str, str]:
    state = "passed" if gate.get("passed") else "FAILED"
    if not gate.get("counted", True):
        state = f"reported, not gated ({state.lower()})"
    limit = ("at least " if gate.get("name") == "top1" else "at most ") + figure(gate.get("limit"))
    return (str(gate.get("name")), figure(gate.get("value")), limit, state)


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key} " if not prefix else f"{prefix}{key} ")
        elif isinstance(value, list) and all(isinstance(v, str) for v in value):
            yield from ((name if n == 0 else "", line) for n, line in enumerate(value))
        elif value not in (None, "", []) and key not in _LONG:
            yield name, figure(value)


def figure(value: Any) -> str:
    """Return a figure in as many digits as it deserves."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(figure(v) for v in value[:4]) + (f" … {len(value)} in all" if len(value) > 4 else "")
    return str(value)
