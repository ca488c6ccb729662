"""Run a model live: sources to sinks through the pipeline, the ledger beside it. The loop behind ``edgevit run``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from edgevit.errors import InputError, UsageError
from edgevit.runtime import TrackSession
from edgevit.runtime.ledger import name_of
from edgevit.runtime.ledger_report import LedgerReport
from edgevit.runtime.outlets import Call
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import Sink, check_outputs, open_sinks
from edgevit.runtime.sinks.several import Told
from edgevit.runtime.sources import Source, open_sources
from edgevit.runtime.sources.looped import Looped
from edgevit.runtime.sources.paced import Paced
from edgevit.runtime.stages import Model
from edgevit.runtime.steering import Steered
from edgevit.runtime.sustained import Minute, Sustained

from .aims import Aim, aimed
from .metrics import Metrics
from .viewer.page import Page
from .viewer.serving import Serving

LINE_S = 1.0
"""Seconds between two lines of the ledger."""


def run(
    session: Any,
    source: str | os.PathLike[str] | Source | Sequence[Source],
    *,
    save: Sequence[str | os.PathLike[str]] = (),
    plan: Plan | None = None,
    seconds: float | None = None,
    aims: Sequence[Aim] = (),
    own_pace: bool = False,
    once: bool = False,
    serving: Serving | None = None,
    metrics: Metrics | None = None,
    fallbacks: Sequence[Any] = (),
    on_result: Callable[[Any], object] | None = None,
    on_told: Callable[[dict[str, Any]], object] | None = None,
    on_event: Callable[[str], object] | None = None,
    on_line: Callable[[str], object] | None = None,
    on_minute: Callable[[Minute], object] | None = None,
    on_report: Callable[[LedgerReport], object] | None = None,
    on_start: Callable[[Pipeline], object] | None = None,
) -> LedgerReport:
    """Answer for a source, several, or what a URI or a ``.streams`` list names; return the ledger.

    ``aims`` say where a tracker's targets are in the first frame of each source. ``own_pace`` plays what is not live at
    its own pace, as if it were a camera. With ``serving`` there is a page: what is not live plays over and over, or
    ``once``, and targets may be shown there. ``metrics`` tells the ledger to Prometheus. ``fallbacks`` are sessions of
    faster bundles, the fastest last. ``seconds`` ends the run, and ``on_minute`` hears of each minute of it.
    ``on_told`` hears each answer as JSON data; of several sources ``lane`` and ``source_name`` say which it is of.
    ``on_start`` gets the pipeline, to pause and resume it. Whatever ends it, a fault or a signal too, what was answered
    is in the sinks, which are closed, and ``on_report`` gets the ledger.
    """
    check_fallbacks(session, fallbacks)
    with ExitStack() as stack:
        check_outputs(save)  # before a camera is opened, or a model is warmed up
        sources = opened(source)
        for one in sources:
            stack.callback(one.close)
        sources = tuple(_played(one, own_pace=own_pace, page=serving is not None, once=once) for one in sources)
        model = model_of(session, aims, sources, steered=serving is not None)
        names = [name_of(*item) for item in enumerate(sources)]
        check_outputs(save, names)
        page = None if serving is None else _page(session, model, names, serving)
        sinks: list[Sink] = []
        if page is not None:
            stack.callback(page.hub.close)
            sinks += page.sinks
        for place in save:
            for sink in open_sinks(place, names):
                sinks.append(sink)
                stack.callback(sink.close)
        if on_told is not None:
            sinks.append(Told(on_told, tuple(names)))
        if on_result is not None:
            sinks.append(Call(on_result, Told.place))
        for one in (session, *fallbacks):
            if hasattr(one, "warmup"):
                one.warmup()
        on_event = on_event if metrics is None else metrics.counting(on_event)
        pipeline = Pipeline(model, list(sources), sinks, plan=plan, on_event=on_event, fallbacks=fallbacks)
        if serving is not None and page is not None:
            stack.enter_context(serving.shows(page, pipeline))
        if metrics is not None:
            stack.enter_context(metrics.tells(pipeline, session))
        if on_start is not None:
            on_start(pipeline)
        tick = _Tick(pipeline, on_line, on_minute if seconds is not None else None)
        try:
            report = pipeline.run(tick, seconds=seconds)
        finally:
            tick.end()
            if on_report is not None:
                on_report(pipeline.report())
    if not report.answered and not report.stopped:
        raise InputError(
            f"There is no frame in {', '.join(names)}, so there is nothing to answer. Name another source."
        )
    return report


def opened(source: str | os.PathLike[str] | Source | Sequence[Source]) -> tuple[Source, ...]:
    """Open what was named, or take what is open."""
    if isinstance(source, (str, os.PathLike)):
        return open_sources(source)
    return tuple(source) if isinstance(source, (list, tuple)) else (source,)  # type: ignore[return-value]


def model_of(session: Any, aims: Sequence[Aim], sources: Sequence[Source], *, steered: bool = False) -> Model:
    """Return what answers: the session, a tracker's with its targets; ``steered`` lets others name them later on."""
    if not isinstance(session, TrackSession):
        if aims:
            raise UsageError("A box is for a tracker's bundle; this one classifies. Leave --box out.")
        model: Model = session
        return model
    if aims or not (session.ids or steered):
        names = [name_of(*item) for item in enumerate(sources)]
        for number, places in enumerate(aimed(aims, names, known=not steered)):
            for place in places:
                session.lane(number).start_next(place)
    return Steered(session) if steered else session


def _played(source: Source, *, own_pace: bool, page: bool, once: bool) -> Source:
    """Let what is not live come by itself where that was asked for; on a page it always does."""
    if source.live or not (own_pace or page):
        return source
    return Looped(source, once=once) if page else Paced(source)


def _page(session: Any, model: Model, names: Sequence[str], serving: Serving) -> Page:
    steered = model if isinstance(model, Steered) else None
    about = session.manifest
    return Page(names, title=about.model, task=about.spec.task, record_dir=serving.record_dir, steered=steered)


def check_fallbacks(session: Any, fallbacks: Sequence[Any]) -> None:
    """Raise unless each is another model, and what it answers means the same."""
    for number, other in enumerate(fallbacks):
        cannot = f"{other.name} cannot stand in for {session.name}"
        (task, labels), (its_task, its_labels) = ((s.manifest.task, s.manifest.spec.labels) for s in (session, other))
        if task != its_task:
            raise UsageError(f"{cannot}: it is made to {its_task}, not to {task}. Name a bundle made to {task}.")
        if labels != its_labels:
            raise UsageError(f"{cannot}: its classes are others. Name a bundle that was exported with the same labels.")
        if any(_same(other, one) for one in (session, *fallbacks[:number])):
            raise UsageError(
                f"The bundle {other.name} is named twice, and it is no faster than itself. Name a faster one, such as "
                "the same model exported with a smaller --imgsz, or leave this --fallback out."
            )


def _same(one: Any, other: Any) -> bool:
    """Tell whether both run the same files in the same way; a folder and its zip have the same."""
    return bool(one.manifest.files == other.manifest.files and one.engine_description == other.engine_description)


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
