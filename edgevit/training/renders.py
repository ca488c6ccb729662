"""Fill memory with renders, on several processes; numpy only, so that a worker starts fast."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt

from edgevit.scenes.shapes import PLAIN, SIZE, Grade, render_batch

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
_CHUNK = 500


def render_many(count: int, *, seed: int, workers: int = 1, grade: Grade = PLAIN) -> tuple[U8, I64]:
    """Render pictures 0 to ``count`` of a seed: planes (count, 3, 96, 96) in RGB, and their labels, in order."""
    pictures, labels = np.empty((count, 3, SIZE, SIZE), np.uint8), np.empty(count, np.int64)
    for start, part, answers in _chunks(count, seed, workers, grade):
        pictures[start : start + len(part)] = part.transpose(0, 3, 1, 2)
        labels[start : start + len(part)] = answers
    return pictures, labels


def _chunks(count: int, seed: int, workers: int, grade: Grade) -> Iterator[tuple[int, U8, I64]]:
    jobs = [(start, min(start + _CHUNK, count), seed, grade) for start in range(0, count, _CHUNK)]
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_render_chunk, jobs)
        return
    # Spawned, not forked: a fork of a process in which torch already runs threads can hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_render_chunk, jobs)


def _render_chunk(job: tuple[int, int, int, Grade]) -> tuple[int, U8, I64]:
    start, stop, seed, grade = job
    return (start, *render_batch(range(start, stop), seed=seed, grade=grade))
