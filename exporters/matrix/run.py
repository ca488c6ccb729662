"""Run cells in worker processes, some models at a time, and keep each as soon as it is finished. Needs no torch."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from edgevit.devices import load_device
from edgevit.proven import Cell
from edgevit.reading import Table
from edgevit.runtime.engines import cores

from .child import Limits
from .plan import Key, Work, by_model
from .reasons import last_words, sentence
from .store import Store

WORKER = (sys.executable, "-m", "edgevit.exporters.matrix.worker")

_GRACE_S = 120.0
"""A worker ends its own children in time; only one that hangs itself is ended from here."""
_LOOK_S = 0.5
_LAST_BYTES = 1 << 16
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1"
)

Finished = Callable[[Cell, int, int], None]
"""Told of each cell: it, how many are finished, of how many."""


def machine() -> str:
    """Name this machine's processor."""
    host = load_device("host")
    return host.soc.name if host.soc else "unknown processor"


def run(
    cells: Sequence[Key],
    store: Store,
    limits: Limits,
    *,
    jobs: int,
    again: Callable[[Cell], bool] = lambda cell: False,
    told: Finished | None = None,
) -> tuple[Cell, ...]:
    """Run what is not finished in the store, or is to be run ``again``, and return all cells, in their order.

    However this ends, by Ctrl-C too, no process is left behind and what was finished stands in the store.
    """
    done = {key: cell for key in cells for cell in [store.finished(key)] if cell and not again(cell)}
    count = len(done)
    todo = [key for key in cells if key not in done]
    pool = _Pool(by_model(todo), limits, jobs)
    with contextlib.closing(pool):
        for cell in pool.cells():
            store.add(cell)
            done[cell.key] = cell
            count += 1
            if told:
                told(cell, count, len(cells))
    return tuple(done[key] for key in cells)


class _Pool:
    """Hold the threads that each keep one worker process busy."""

    def __init__(self, works: Sequence[Work], limits: Limits, jobs: int) -> None:
        self._limits = limits
        self._works: queue.SimpleQueue[Work] = queue.SimpleQueue()
        for work in works:
            self._works.put(work)
        self._found: queue.SimpleQueue[Cell | BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        places = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None] * cores()
        self._threads = [
            threading.Thread(target=self._serve, args=(places[n % len(places)],)) for n in range(min(jobs, len(works)))
        ]

    def cells(self) -> Iterator[Cell]:
        """Yield the cells as they are finished."""
        for thread in self._threads:
            thread.start()
        alive = len(self._threads)
        while alive:
            found = self._found.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                alive -= 1
            else:
                yield found

    def close(self) -> None:
        """End what still runs."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _serve(self, core: int | None) -> None:
        try:
            while not self._stop.is_set():
                try:
                    work = self._works.get_nowait()
                except queue.Empty:
                    break
                for cell in _proved(work, self._limits, core, self._stop):
                    self._found.put(cell)
        except BaseException as fault:
            self._found.put(fault)
        finally:
            self._found.put(None)


def _proved(work: Work, limits: Limits, core: int | None, stop: threading.Event) -> Iterator[Cell]:
    """Run one worker and yield its cells; those that it never told get the verdict of its death."""
    order = {
        "model": work.model,
        "cells": work.cells,
        "core": core,
        "parent": os.getpid(),
        "timeout_s": limits.timeout_s,
        "memory_bytes": limits.memory_bytes,
    }
    left = list(work.cells)
    # All that a worker and the converters in it leave behind, when they are killed too, goes with this folder.
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgevit-matrix-", ignore_cleanup_errors=True))
        printed = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        process = subprocess.Popen(
            (*WORKER, json.dumps(order)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=printed,
            env={**os.environ, **_ONE_THREAD, "TMPDIR": folder},
            start_new_session=True,
        )
        try:
            for line in _lines(process, limits.timeout_s + _GRACE_S, stop):
                cell = Cell.of(Table.of(json.loads(line), ""))
                left.remove((cell.format, cell.precision))
                yield cell
        finally:
            _end(process)
        words = _end_of(printed)
    if not stop.is_set():
        # A package that is absent, or of another version, ends a worker as soon as it imports: no fault of the cell.
        verdict = "not run" if words.startswith(("ModuleNotFoundError", "ImportError")) else "crashed"
        reason = f"the model's own process ended with {_how(process.returncode)}"
        for format_name, precision in left:
            yield Cell(
                *(work.model, format_name, precision, verdict),
                reason=sentence(f"{reason}: {words}" if words else reason),
            )


def _end_of(printed: IO[bytes]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - _LAST_BYTES))
    return last_words(printed.read())


def _lines(process: subprocess.Popen[bytes], silence_s: float, stop: threading.Event) -> Iterator[bytes]:
    """Yield the whole lines of a process, until it ends, says nothing for too long, or we are to stop."""
    assert process.stdout is not None
    descriptor, rest, heard = process.stdout.fileno(), b"", time.monotonic()
    while not stop.is_set() and time.monotonic() - heard < silence_s:
        ready, _, _ = select.select([descriptor], [], [], _LOOK_S)
        if not ready:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        heard = time.monotonic()
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker and all that it started: they are one group of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _how(code: int | None) -> Any:
    return signal.Signals(-code).name if code is not None and code < 0 else f"code {code}"
