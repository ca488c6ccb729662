"""Run a model live: sources to sinks through the pipeline, the ledger beside it. The loop behind ``edgevit run``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from edgevit.errors import InputError, UsageError
from edgevit.runtime import TrackSession
from edgevit.runtime.ledger_report import LedgerReport
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import Sink, open_sink
from edgevit.runtime.sources import Source, open_sources
from edgevit.runtime.sources.looped import Looped
from edgevit.runtime.sources.paced import Paced
from edgevit.runtime.stages import Model
from edgevit.runtime.steering import Steered
from edgevit.runtime.sustained import Minute, Sustained

from .viewer.page import Page
from .viewer.serving import Serving

Box = tuple[float, float, float, float]
Point = tuple[float, float]

LINE_S = 1.0
"""Seconds between two lines of the ledger."""


def run(
    session: Any,
    source: str | os.PathLike[str] | Source | Sequence[Source],
    *,
    save: Iterable[str | os.PathLike[str]] = (),
    plan: Plan | None = None,
    seconds: float | None = None,
    box_xywh: Box | None = None,
    point_xy: Point | None = None,
    own_pace: bool = False,
    once: bool = False,
    serving: Serving | None = None,
    on_result: Callable[[Any], object] | None = None,
    on_event: Callable[[str], object] | None = None,
    on_line: Callable[[str], object] | None = None,
    on_minute: Callable[[Minute], object] | None = None,
    on_report: Callable[[LedgerReport], object] | None = None,
) -> LedgerReport:
    """Answer for a source, several, or what a URI or a ``.streams`` list names; return the ledger.

    ``box_xywh`` or ``point_xy`` is where a tracker's target is in the first frame. ``own_pace`` plays what is not live
    at its own pace, as if it were a camera. With ``serving`` there is a page: what is not live plays over and over, or
    ``once``, and targets may be shown there. ``seconds`` ends the run, and ``on_minute`` hears of each minute of it.
    Whatever ends it, a fault or a signal too, what was answered is in the sinks, which are closed, and ``on_report``
    gets the ledger.
    """
    with ExitStack() as stack:
        sources = opened(source)
        for one in sources:
            stack.callback(one.close)
        sources = tuple(_played(one, own_pace=own_pace, page=serving is not None, once=once) for one in sources)
        first = _first(box_xywh, point_xy)
        model = model_of(session, first, len(sources), steered=serving is not None)
        page = None if serving is None else _page(session, model, sources, serving)
        sinks: list[Sink] = [] if page is None else [*page.sinks]
        for place in save:
            sinks.append(open_sink(place))
            stack.callback(sinks[-1].close)
        if hasattr(session, "warmup"):
            session.warmup()
        pipeline = Pipeline(model, list(sources), sinks, plan=plan, on_result=on_result, on_event=on_event)
        if serving is not None and page is not None:
            stack.enter_context(serving.shows(page, pipeline))
        tick = _Tick(pipeline, on_line, on_minute if seconds is not None else None)
        try:
            report = pipeline.run(tick, seconds=seconds)
        finally:
            tick.end()
            if on_report is not None:
                on_report(pipeline.report())
    if not report.answered and not report.stopped:
        raise InputError("The input has no frame; there is nothing to answer.")
    return report


def opened(source: str | os.PathLike[str] | Source | Sequence[Source]) -> tuple[Source, ...]:
    """Open what was named, or take what is open."""
    if isinstance(source, (str, os.PathLike)):
        return open_sources(source)
    return tuple(source) if isinstance(source, (list, tuple)) else (source,)  # type: ignore[return-value]


def model_of(session: Any, first: tuple[float, ...] | None, sources: int, *, steered: bool = False) -> Model:
    """Return what answers: the session, or a tracker that starts with the first frame, or that others steer."""
    if not isinstance(session, TrackSession):
        if first is not None:
            raise UsageError("A box is for a tracker's bundle; this one classifies. Leave --box out.")
        model: Model = session
        return model
    if sources > 1:
        raise UsageError("A tracker follows targets in one source; several were given. Run one process for each.")
    if first is None and not session.ids and not steered:
        raise UsageError("What shall be followed? Type: --box x,y,width,height (in the first frame)")
    return session if first is None and not steered else Steered(session, first)


def _first(box_xywh: Box | None, point_xy: Point | None) -> tuple[float, ...] | None:
    """Return where the first target is, as a tracker takes it: left, top, right, bottom, or a point."""
    if box_xywh is None:
        return point_xy
    if point_xy is not None:
        raise UsageError("A target is given by its box or by a point on it, not by both. Leave one of them out.")
    x, y, w, h = box_xywh
    return x, y, x + w, y + h


def _played(source: Source, *, own_pace: bool, page: bool, once: bool) -> Source:
    """Let what is not live come by itself where that was asked for; on a page it always does."""
    if source.live or not (own_pace or page):
        return source
    return Looped(source, once=once) if page else Paced(source)


def _page(session: Any, model: Model, sources: Sequence[Source], serving: Serving) -> Page:
    names = [str(getattr(source, "name", f"source {number}")) for number, source in enumerate(sources)]
    steered = model if isinstance(model, Steered) else None
    about = session.manifest
    return Page(names, title=about.model, task=about.spec.task, record_dir=serving.record_dir, steered=steered)


class _Tick:
    """Say a line a second, and a minute a minute."""

    def __init__(
        self,
        pipeline: Pipeline,
        on_line: Callable[[str], object] | None,
        on_minute: Callable[[Minute], object] | None,
    ) -> None:
        self._pipeline, self._on_line, self._on_minute = pipeline, on_line, on_minute
        self._next_s = LINE_S
        self._sustained = Sustained(pipeline.ledger)

    def __call__(self, elapsed_s: float) -> None:
        if self._on_line is not None and elapsed_s >= self._next_s:
            self._next_s = max(self._next_s + LINE_S, elapsed_s)
            self._on_line(self._pipeline.report().line(self._pipeline.ledger.fps_now()))
        if self._on_minute is not None and (minute := self._sustained.look()) is not None:
            self._on_minute(minute)

    def end(self) -> None:
        """Tell of the last, unfinished minute."""
        if self._on_minute is not None and (minute := self._sustained.look(last=True)) is not None:
            self._on_minute(minute)
