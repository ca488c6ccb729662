"""Run a model over an input and write what it says: the loop behind ``edgevit predict``. Never torch."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle
from edgevit.errors import UsageError
from edgevit.runtime import load
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Result, no_result
from edgevit.runtime.sinks import Fan, Sink, open_sink, refuse_twice, who_left
from edgevit.runtime.sources import Source, freshest, open_source

Model = Callable[[Frame], Result]
Progress = Callable[[int, "int | None", Result], None]
"""Called after each frame with the number done, the number expected (None where nobody knows) and the result."""


@dataclass(frozen=True)
class Summary:
    """Tell what a run did. ``faults`` has one sentence for each thing that was passed over."""

    frames: int
    seconds: float
    faults: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    stopped: str = ""

    @property
    def frames_per_second(self) -> float:
        """The pace of the whole loop: reading, answering, writing."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {**dataclasses.asdict(self), "frames_per_second": round(self.frames_per_second, 3)}

    def __str__(self) -> str:
        count = f"{self.frames} frame{'' if self.frames == 1 else 's'} in {self.seconds:.1f} s"
        faults = f", {len(self.faults)} passed over" if self.faults else ""
        where = f", written to {', '.join(self.outputs)}" if self.outputs else ""
        return f"{count}{faults}{where}{f'; {self.stopped}' if self.stopped else ''}."


def predict(
    model: Model | Bundle | str | Path,
    source: str | os.PathLike[str] | Source,
    *,
    save: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    json: str | os.PathLike[str] | None = None,
    topk: int | None = None,
    on_error: str = "stop",
    limit: int | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Run a session (or a bundle's path) over an input; write annotated copies to ``save``, JSON lines to ``json``.

    ``save`` is a folder, a picture, a video, or several of these; ``json`` is a file or ``-``. With ``on_error="skip"``
    what cannot be read is passed over. ``limit`` ends after so many frames. Whatever ends the run, what was answered is
    kept: a video is finished and holds the frames so far. A session that was handed over stays open.
    """
    for name, value in (("topk", topk), ("limit", limit)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}. Type: {name}=5")
    with ExitStack() as stack:
        # Outputs and input first: a mistyped name should not cost the opening of a camera, nor the loading of a model.
        sinks = _open_sinks(stack, save, json)
        if isinstance(source, (str, os.PathLike)):
            source = stack.enter_context(closing(open_source(source, on_error=on_error)))
        session = model if callable(model) else stack.enter_context(load(model))
        return _run(
            session, freshest(source), Fan(sinks), _Plan(topk, limit, progress, tuple(sink.place for sink in sinks))
        )


@dataclass(frozen=True)
class _Plan:
    topk: int | None
    limit: int | None
    progress: Progress | None
    outputs: tuple[str, ...]


def _run(session: Model, source: Source, sink: Sink, plan: _Plan) -> Summary:
    total = source.total if plan.limit is None or source.total is None else min(source.total, plan.limit)
    started, done, stopped = time.perf_counter(), 0, ""
    try:
        for result in _answers(session, source, plan):
            sink.write(result.frame, result)
            done += 1
            if plan.progress is not None:
                plan.progress(done, total, result)
    except BrokenPipeError as gone:
        stopped = who_left(gone)
    except KeyboardInterrupt:
        stopped = "interrupted"
    finally:
        sink.close()
    return Summary(done, time.perf_counter() - started, tuple(source.faults), plan.outputs, stopped)


def _answers(session: Model, source: Source, plan: _Plan) -> Iterator[Result]:
    for frame in itertools.islice(source, plan.limit):
        result = session(frame)
        if not hasattr(result, "frame"):
            raise no_result(result, "edgevit predict")
        # A task whose results know no rank has nothing to cut.
        if plan.topk is not None and dataclasses.is_dataclass(result) and hasattr(result, "topk"):
            result = dataclasses.replace(result, topk=plan.topk)
        yield result


def _open_sinks(stack: ExitStack, save: Any, json: str | os.PathLike[str] | None) -> list[Sink]:
    places = [] if save is None else [save] if isinstance(save, (str, os.PathLike)) else list(save)
    refuse_twice([*places, *([json] if json is not None else [])])
    sinks = []
    for place, kind in [*((p, None) for p in places), *([(json, "jsonl")] if json is not None else [])]:
        sinks.append(open_sink(place, kind=kind))
        stack.callback(sinks[-1].close)
    return sinks
