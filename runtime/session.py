"""Join a classifier's bundle and an engine: a frame goes in, a result comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import EngineError
from edgevit.kernels import prepare
from edgevit.manifest import Manifest

from .engines import Engine, Tensor, run_batch
from .frame import Frame, Pixels, frame_of
from .results import Classification, Speed
from .sources import Source, open_source
from .tasks import TASKS


class Session:
    """Run one bundle. Use it as a context manager, or call ``close``; calls from several threads take turns."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self._engine: Engine | None = engine
        self._graph = bundle.manifest.graphs["main"]
        self._task = TASKS.load(bundle.manifest.task)
        self._turn = threading.Lock()
        self.engine_description = engine.description

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.manifest.spec.labels

    def __call__(self, picture: Frame | Any, *, color: str | None = None) -> Classification:
        """Answer for one frame, or for one array with its colour order: ``session(array, color="bgr")``.

        Classifying is the only task so far, so its result is the type here; ``Result`` is what all tasks' have.
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
        return prepare(frame.data, self.manifest.spec.image, color=frame.pixel_format)

    def infer(self, batch: Tensor) -> Tensor:
        """Run N rows as ``prepare`` makes them and return the outputs (N, ...), whatever batch the file was made for.

        A row is (3, h, w), or (h, w, 3) where the layout is ``nhwc``, as in LiteRT's files.
        """
        with self._turn:
            if self._engine is None:
                raise EngineError("The session was closed; load the bundle again.")
            return run_batch(self._engine, self._graph, batch)

    def stream(
        self, source: Source | Iterable[Frame | Pixels] | str | Path, *, color: str | None = None
    ) -> Iterator[Classification]:
        """Answer for every frame of a source (a URI, a Source, or any frames), in order.

        ``color`` is for bare arrays alone; frames say theirs.
        """
        opened = open_source(str(source)) if isinstance(source, (str, Path)) else source
        try:
            for frame in opened:
                yield self(frame, color=color)
        finally:
            if close := getattr(opened, "close", None):
                close()

    def warmup(self, count: int = 3) -> None:
        """Run on grey pictures, so that the first real frame is not the slow one."""
        height, width = self.manifest.spec.image.size_hw
        grey = Frame(np.full((height, width, 3), 128, np.uint8), "rgb", time.monotonic_ns())
        for _ in range(count):
            self.infer(self.prepare(grey))

    def close(self) -> None:
        """Give the engine's memory back."""
        with self._turn:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        m = self.manifest
        state = "" if m.trained else ", UNTRAINED"
        return f"Session({m.model}, {m.format} {m.precision}, {self.engine_description}{state})"
