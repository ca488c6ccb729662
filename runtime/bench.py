"""Measure bundles against each other: a process each, taking turns, so that no engine's threads disturb another's.

Every worker loads one bundle and waits; in each round every bundle runs in turn, in an order that is reversed from
round to round. What drifts (heat, other programs) then drifts for all, and ratios of medians hold where absolute times
do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.devices import load_device
from edgevit.errors import EngineError, UsageError
from edgevit.progress import Progress, Step, silent

from .figures import STAGES, BenchReport, BundleFigures, Interval, Percentiles
from .thermals import clock_mhz, temperature_c

WORKER = (sys.executable, "-m", "edgevit.runtime.bench_worker")

_MOST_ROUNDS = 10
_MOST_INTERVALS = 12
_SILENCE_S = 600.0
"""A worker that says nothing for this long hangs: large models on small boards take minutes to load, not ten."""


def bench(
    bundles: Sequence[str | Path | Bundle],
    *,
    iterations: int = 100,
    warmup: int = 10,
    seconds: float | None = None,
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    picture_hw: tuple[int, int] = (480, 640),
    progress: Progress | None = None,
) -> BenchReport:
    """Run every bundle ``iterations`` times, or for ``seconds`` in all, and return the percentiles of each stage.

    A bundle that cannot be opened raises. One that opens but cannot run here gets a ``fault``; the others go on.
    """
    if not bundles or iterations < 1 or warmup < 0 or (seconds is not None and seconds <= 0):
        raise UsageError("bench needs at least one bundle, one iteration or some seconds, and a warm-up of 0 or more.")
    opened = [b if isinstance(b, Bundle) else open_bundle(b) for b in bundles]
    setting = {"engine": engine, "threads": threads, "precision": precision, "picture_hw": picture_hw, "warmup": warmup}
    tell = progress or silent
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_worker(bundle, setting, tell)) for bundle in opened]
        able = [w for w in workers if w.fault is None]
        rounds = 0
        if able:
            rounds = _timed_rounds(able, seconds, tell) if seconds else _counted_rounds(able, iterations, tell)
        results = tuple(worker.figures(threads) for worker in workers)
    host = load_device("host")
    chip = host.soc.name if host.soc else "unknown processor"
    return BenchReport(chip, _cores(), results, warmup, rounds, picture_hw, seconds)


def _counted_rounds(workers: Sequence[Worker], iterations: int, tell: Progress) -> int:
    rounds = min(_MOST_ROUNDS, iterations)
    began = time.perf_counter()
    for n in range(rounds):
        tell(Step("measure", f"round {n + 1} of {rounds}", done=n, total=rounds))
        count = iterations * (n + 1) // rounds - iterations * n // rounds
        for worker in _in_turn(workers, n):
            worker.run(count=count)
    tell(Step("measure", f"{iterations} runs each", rounds, rounds, time.perf_counter() - began))
    return rounds


def _timed_rounds(workers: Sequence[Worker], seconds: float, tell: Progress) -> int:
    intervals = max(1, min(_MOST_INTERVALS, int(seconds)))
    began = time.perf_counter()
    for n in range(intervals):
        elapsed = time.perf_counter() - began
        tell(Step("measure", f"{elapsed:.0f} of {seconds:.0f} s", done=n, total=intervals))
        share = (seconds * (n + 1) / intervals - elapsed) / max(1, sum(w.fault is None for w in workers))
        for worker in _in_turn(workers, n):
            worker.run(seconds=max(share, 0.0), start_s=time.perf_counter() - began)
    tell(Step("measure", f"{seconds:.0f} s in all", intervals, intervals, time.perf_counter() - began))
    return intervals


def _in_turn(workers: Sequence[Worker], number: int) -> list[Worker]:
    alive = [w for w in workers if w.fault is None]
    return alive[::-1] if number % 2 else alive


class Worker:
    """Talk to the process that runs one bundle: one JSON line a question, one an answer."""

    def __init__(self, bundle: Bundle, process: subprocess.Popen[bytes], noise: Any, settle: int) -> None:
        self.bundle = bundle
        self.fault: str | None = None
        self._exit_code = 0
        self._process = process
        self._noise = noise
        self._settle = settle
        self._loaded: dict[str, Any] = {}
        self._times: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self._intervals: list[Interval] = []

    def wait_loaded(self) -> None:
        """Wait until the bundle is loaded and warm, or a fault is known."""
        self._loaded = self._read()

    def run(self, *, count: int | None = None, seconds: float | None = None, start_s: float | None = None) -> None:
        """Run it some times, or for some time; with ``start_s`` the figures also make one interval."""
        answer = self._ask({"count": count, "seconds": seconds})
        if self.fault is not None:
            return
        for stage in STAGES:
            self._times[stage] += answer[stage]
        if start_s is not None:
            part = Percentiles.of(answer["total"])
            self._intervals.append(
                Interval(round(start_s, 1), part.p50_ms, part.p95_ms, part.count, clock_mhz(), temperature_c())
            )

    def figures(self, threads: int | None) -> BundleFigures:
        """Ask for the memory and sum up."""
        ended = self._ask({"end": True}) if self.fault is None else {}
        m = self.bundle.manifest
        ran = self.fault is None and bool(self._times["total"])
        return BundleFigures(
            path=str(self.bundle.path),
            model=m.model,
            format=m.format,
            precision=m.precision,
            size_bytes=self.bundle.size_bytes,
            trained=m.trained,
            engine=str(self._loaded.get("engine", "")),
            threads=threads,
            load_ms=self._loaded.get("load_ms"),
            first_ms=self._loaded.get("first_ms"),
            peak_memory_bytes=ended.get("peak_memory_bytes"),
            base_memory_bytes=self._loaded.get("base_memory_bytes"),
            stages={stage: Percentiles.of(times) for stage, times in self._times.items()} if ran else {},
            intervals=tuple(self._intervals) if ran else (),
            fault=self.fault,
            exit_code=self._exit_code,
        )

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"settle": self._settle, **question}).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            pass  # it has ended; reading its answer says how
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(_SILENCE_S, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            answer = {"fault": self._obituary(), "exit_code": EngineError.exit_code}
        self.fault = answer.get("fault")
        self._exit_code = int(answer.get("exit_code", 0))
        return answer

    def _obituary(self) -> str:
        """Say how the process ended: engines crash in native code, where no Python error is left behind."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._noise.seek(0)
        lines = [line for line in self._noise.read().decode("utf-8", "replace").splitlines() if line.strip()]
        last = f" Its last words: {lines[-1].strip()}" if lines else ""
        return f"The process that ran it ended without an answer (exit code {self._process.returncode}).{last}"


@contextlib.contextmanager
def _worker(bundle: Bundle, setting: dict[str, Any], tell: Progress) -> Iterator[Worker]:
    """Start the process of one bundle; it ends with this context, whatever happens."""
    name = f"load {bundle.path.name}"
    tell(Step(name))
    began = time.perf_counter()
    order = json.dumps({"path": os.fspath(bundle.path.absolute()), **setting})
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            [*WORKER, order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=_environment(),
        )
        try:
            worker = Worker(bundle, process, noise, settle=2)
            worker.wait_loaded()
            tell(Step(name, "failed" if worker.fault else "", seconds=time.perf_counter() - began))
            yield worker
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its stdin and give it a moment to leave in good order."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _environment() -> dict[str, str]:
    """Let the worker find this very edgevit, and nothing that merely lies in the current folder."""
    root = str(Path(sys.modules["edgevit"].__file__ or "").parent.parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
