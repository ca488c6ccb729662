"""Run the kernels' tests and one model of each family on emulated Raspberry Pis, with the real aarch64 wheels.

    python -m tests.arm.run

Ends with 1 if a kernel differs or a bundle misses a gate. Where the emulator or the packages cannot be had it says so
and ends with 0; ``EDGEVIT_ARM=1`` makes that an error. The seconds are the emulation's and say nothing of a board.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from . import bundles, native, root, verdict
from .bundles import ExportError, Wanted
from .emulator import PI_4, PI_5, Board, board

MUST = "EDGEVIT_ARM"
KERNEL_TESTS = tuple(str(root.HOUSE / "tests" / "kernels" / f"test_{n}.py") for n in ("color", "image", "resample"))
PYTEST = ("-c", str(root.HOUSE / "pyproject.toml"), "--rootdir", str(root.HOUSE), "-p", "no:cacheprovider", "-q")
MOST_AT_ONCE = 4
"""A conversion takes up to two gigabytes."""
TABLE = "{:<21} {:<7} {:<5} {:<11} {:>10} {:>10} {:>10} {:>8} {:>8}"
HEAD = ("model", "format", "", "processor", "from torch", "from x86", "golden", "export s", "here s")


@dataclass(frozen=True)
class Told:
    """Hold the lines to print of one task, and its faults."""

    lines: tuple[str, ...]
    faults: tuple[str, ...]


def main() -> int:
    """Make what is lacking, run all, and say how it went."""
    begun = time.perf_counter()
    try:
        root.check_tools()
        made = root.ready()
    except root.LackError as lack:
        print(f"arm: skipped: {lack}")
        return 1 if os.environ.get(MUST, "0") not in ("", "0") else 0
    try:
        kernels = native.build()
    except native.BuildError as broken:
        print(f"arm: {broken}", file=sys.stderr)
        return 1
    print(f"arm: {made.python.name}, the wheels and the kernels are ready, {time.perf_counter() - begun:.0f} s\n")
    variables = {"EDGEVIT_KERNELS_LIBRARY": str(kernels.library)}
    faults = run_all(board(made, PI_5, variables), board(made, PI_4, variables), kernels)
    outcome = f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}" if faults else "all is equal"
    print(f"\narm: {outcome}, {time.perf_counter() - begun:.0f} s")
    for fault in faults:
        print(f"arm: {fault}", file=sys.stderr)
    return 1 if faults else 0


def run_all(newer: Board, older: Board, kernels: native.Native) -> list[str]:
    """Give each core one task after the other, and print in a fixed order what they tell."""
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[:MOST_AT_ONCE]:
        cores.put(core)

    def own_core() -> None:  # a thread's own affinity, which its programs inherit: engines then take one thread each
        os.sched_setaffinity(0, {cores.get()})

    faults: list[str] = []
    with ThreadPoolExecutor(cores.qsize(), initializer=own_core) as pool:
        tasks = [pool.submit(prove, wanted, newer, older) for wanted in bundles.WANTED]
        tasks += [pool.submit(check_kernels, newer, kernels), pool.submit(check_kernels, older, kernels, "-k", "neon")]
        print(TABLE.format(*HEAD), flush=True)
        for task in tasks:
            told = task.result()
            print("\n".join(told.lines), flush=True)
            faults += told.faults
    return faults


def prove(wanted: Wanted, newer: Board, older: Board) -> Told:
    """Export a bundle and prove it on the newer board; the small shipped model also on the older.

    The older lacks dot products and fp16 arithmetic: an engine that chooses its kernels wrong ends there by SIGILL.
    """
    begun = time.perf_counter()
    try:
        path = bundles.exported(wanted)
    except ExportError as refused:
        return Told((f"{wanted.name}: not exported",), (f"{wanted.name}: {refused}",))
    export_s = time.perf_counter() - begun
    lines, faults = [], []
    for place in (newer, older) if wanted.weights is None else (newer,):
        answer = place.run("tests.arm.prove_bundle", str(path))
        proof = verdict.of_bundle(answer)
        figures = (shown(figure) for figure in (proof.from_torch, proof.from_x86, proof.golden))
        name = (wanted.model, wanted.format, wanted.precision, place.processor.name)
        lines.append(TABLE.format(*name, *figures, f"{export_s:.0f}", f"{answer.seconds:.1f}"))
        faults += [f"{wanted.name} on {place.processor.name}: {fault}" for fault in proof.faults]
        export_s = 0.0
    return Told(tuple(lines), tuple(faults))


def check_kernels(place: Board, kernels: native.Native, *chosen: str) -> Told:
    """Run the C++ self-test and the tests of tests/kernels, which hold every form against numpy's, to the bit."""
    selftest = place.execute(kernels.selftest)
    tests = place.run("pytest", *PYTEST, *chosen, *KERNEL_TESTS)
    last, fault = verdict.of_tests(tests)
    found = [told for told in (verdict.of_selftest(selftest), fault) if told]
    line = f"kernels on {place.processor.name}: {', '.join(selftest.stdout.splitlines())}; {last}"
    return Told((line,), tuple(f"kernels on {place.processor.name}: {one}" for one in found))


def shown(figure: float | None) -> str:
    """Write a relative difference, or that there is none."""
    return "-" if figure is None else f"{figure:.1e}"


if __name__ == "__main__":
    sys.exit(main())
