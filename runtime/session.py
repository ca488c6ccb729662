"""Join a classifier's bundle and an engine: a frame goes in, a result comes out."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevit.bundle import Bundle
from edgevit.kernels import prepare

from .engines import Engine, Tensor, run_batch
from .frame import Frame, frame_of
from .opened import Opened
from .results import Classification, Speed
from .stages import Job, Stage
from .streaming import Streams
from .tasks import TASKS

_SHRUNK = (0.75, 0.5)
"""Shares of a side of the input, where it can be chosen; of the net's work this is about a half and a quarter."""
_GRID = 32
"""Pixels of which nets that halve the picture five times want a multiple."""


class Session(Opened[Engine], Streams[Classification]):
    """Run one bundle. Use it as a context manager, or call ``close``; calls from several threads take turns."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine, engine.description)
        self._graph = bundle.manifest.graphs["main"]
        self._task = TASKS.load(bundle.manifest.task)
        self._image = bundle.manifest.spec.image

    @property
    def name(self) -> str:
        """How a ledger calls it."""
        own = self._image == self.manifest.spec.image
        return super().name if own else f"{super().name} at {'x'.join(map(str, self._image.size_hw))}"

    def smaller(self) -> tuple[Session, ...]:
        """Return sessions before the same engine that show it smaller pictures, where the bundle takes any size."""
        sides = slice(1, 3) if self._image.layout == "nhwc" else slice(2, 4)
        if self._graph.inputs[0].shape[sides] != (-1, -1):
            return ()
        made: list[Session] = []
        for share in _SHRUNK:
            height, width = (max(_GRID, round(n * share / _GRID) * _GRID) for n in self._image.size_hw)
            small = copy.copy(self)
            small._image = self._image.scaled_to((height, width))
            if height * width < math.prod((made or [self])[-1]._image.size_hw):
                made.append(small)
        return tuple(made)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.manifest.spec.labels

    def __call__(self, picture: Frame | Any, *, color: str | None = None) -> Classification:
        """Answer for one frame, or for one array with its colour order: ``session(array, color="bgr")``.

        A tracker's bundle is opened as a ``TrackSession``.
        """
        frame = frame_of(picture, color)
        began = time.perf_counter_ns()
        tensor = self.prepare(frame)
        prepared = time.perf_counter_ns()
        output = self.infer(tensor)
        inferred = time.perf_counter_ns()
        decoded = self._task.decode(output[0], self.manifest)
        ended = time.perf_counter_ns()
        speed = Speed((prepared - began) / 1e6, (inferred - prepared) / 1e6, (ended - inferred) / 1e6)
        result: Classification = self._task.result(decoded, frame, speed, self.manifest)
        return result

    def prepare(self, frame: Frame) -> Tensor:
        """Make the input tensor of a frame: one row, in the layout that the manifest's spec says."""
        return prepare(frame.data, self._image, color=frame.pixel_format)

    def infer(self, batch: Tensor) -> Tensor:
        """Run N rows as ``prepare`` makes them and return the outputs (N, ...), whatever batch the file was made for.

        A row is (3, h, w), or (h, w, 3) where the layout is ``nhwc``, as in LiteRT's files.
        """
        with self._turn:
            return run_batch(self._open(), self._graph, batch)

    def stages(self) -> tuple[Stage, ...]:
        """Split the answer for ``pipeline.py``, where several frames are in different stages at a time."""
        return (
            Stage("preprocess", lambda job: self.prepare(job.frame)),
            Stage(
                "inference", lambda job: self.infer(job.value), self._together, max(0, self._graph.inputs[0].shape[0])
            ),
            Stage("postprocess", self._finished),
        )

    def _together(self, jobs: Sequence[Job]) -> list[Tensor]:
        """Run the rows of several jobs at once, and give each its own row back."""
        output = self.infer(np.concatenate([job.value for job in jobs]))
        return [output[row : row + 1] for row in range(len(jobs))]

    def _finished(self, job: Job) -> Classification:
        began = time.perf_counter_ns()
        decoded = self._task.decode(job.value[0], self.manifest)
        spent = job.spent_ms
        speed = Speed(spent["preprocess"], spent["inference"], (time.perf_counter_ns() - began) / 1e6)
        result: Classification = self._task.result(decoded, job.frame, speed, self.manifest)
        return result

    def warmup(self, count: int = 3) -> None:
        """Run on grey pictures, so that the first real frame is not the slow one."""
        height, width = self._image.size_hw
        grey = Frame(np.full((height, width, 3), 128, np.uint8), "rgb", time.monotonic_ns())
        for _ in range(count):
            self.infer(self.prepare(grey))
