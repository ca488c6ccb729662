"""Read what a board said of a bundle or of the kernels, and judge it: a figure to show, or a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .emulator import Answer

_SAME_FILE = "relative to its answers at export"
_SEEN = {"machine": "aarch64", "kernels": "neon"}


@dataclass(frozen=True)
class Proof:
    """Hold the relative differences of one bundle on one board; None where it did not get that far."""

    from_torch: float | None = None
    from_x86: float | None = None
    golden: float | None = None
    faults: tuple[str, ...] = ()


def of_bundle(answer: Answer) -> Proof:
    """Judge the three lines of ``prove_bundle.py``. A program that died is a fault, whatever it said before."""
    try:
        golden, stored, session = (json.loads(line) for line in answer.stdout.splitlines())
        figures = {**_figures("golden", golden), **_figures("from_torch", stored)}
        figures["from_x86"] = next(gate["value"] for gate in stored["gates"] if gate["name"] == _SAME_FILE)
        faults = [*_failures(golden), *_failures(stored), *_strange(session)]
    except (ValueError, KeyError, TypeError, StopIteration):
        return Proof(faults=(answer.fault() or f"its answer cannot be read: {answer.stdout[-200:]!r}",))
    if not faults and (ended := answer.fault()):
        faults.append(ended)
    return Proof(**figures, faults=tuple(faults))


def of_tests(answer: Answer) -> tuple[str, str | None]:
    """Return pytest's last line, and the fault if a test failed or the program died."""
    lines = answer.stdout.strip().splitlines() or [""]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    fault = answer.fault()
    if fault is None and " passed" not in lines[-1]:
        fault = f"no test ran: {lines[-1]}"
    return lines[-1], None if fault is None else "; ".join([*failed, fault])


def of_selftest(answer: Answer) -> str | None:
    """Return the fault of the C++ self-test, which prints ``neon: equal``; a build without NEON is one as well."""
    return answer.fault() or (None if "neon: equal" in answer.stdout else f"no NEON in it: {answer.stdout!r}")


def _figures(name: str, report: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(report["figures"]["relative_median"])}


def _failures(report: Mapping[str, Any]) -> list[str]:
    """Name the gates that a report says were missed; a report that merely says so, without one, counts as well."""
    missed = [
        f"{gate['name']} {gate['value']} (limit {gate['limit']:.3g}), compared with {report['compared_with']}"
        for gate in report["gates"]
        if gate["counted"] and not gate["passed"]
    ]
    return missed or ([] if report["passed"] is True else [f"refused, compared with {report['compared_with']}"])


def _strange(session: Mapping[str, Any]) -> list[str]:
    """See that it was the ARM machine and its kernels that answered, and that the runtime's answer is the file's."""
    faults = [f"{name} is {session[name]}, not {value}" for name, value in _SEEN.items() if session[name] != value]
    if session.get("best") != session.get("wanted"):
        faults.append(f"edgevit.load answers class {session['best']}, the golden sample {session['wanted']}")
    return faults
