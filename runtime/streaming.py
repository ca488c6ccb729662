"""Loop over a source's answers: in the caller's own thread where the source waits, on threads where it is live.

Three ways to the same answers: a loop, a loop of a coroutine, and a function that is called with each.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edgevit.errors import UsageError

from .opened import Frames, checked_frames, opened_frames
from .plan import Plan, above_zero, plan_of
from .sinks import Sink

if TYPE_CHECKING:
    from .ledger_report import LedgerReport
    from .pipeline import Pipeline

Answer = TypeVar("Answer")
Log = Callable[[str], object]


class Streams(ABC, Generic[Answer]):
    """Be a session that answers for whole sources: a URI, a Source, or any frames. ``color`` is for bare arrays alone.

    What cannot be meant is refused by the call, not by the first frame; what is not there, when the loop begins.
    ``policy`` None is ``newest`` where the source is live, else ``every``; ``plan`` holds all other choices.
    """

    @abstractmethod
    def __call__(self, picture: Any, *, color: str | None = None) -> Answer:
        """Answer for one frame."""

    def stream(self, source: Frames, *, color: str | None = None, policy: str | None = None) -> Iterator[Answer]:
        """Answer for the frames of a source.

        Of what is not live, every frame, in order, one after the other in the caller's thread. A live source gets
        threads, and the newest frame wins, unless ``policy`` is ``every``.
        """
        return self._looped(checked_frames(source, color), color, Plan(policy))

    def _looped(self, source: Frames, color: str | None, plan: Plan) -> Iterator[Answer]:
        with opened_frames(source) as pictures:
            if not getattr(pictures, "live", False):  # it waits by itself: every frame under both policies
                for picture in pictures:
                    yield self(picture, color=color)
                return
            answers: Iterator[Any] = _pipeline()(self, (pictures,), plan=plan, color=color).results()
            yield from answers

    def stream_async(
        self,
        source: Frames,
        *,
        color: str | None = None,
        policy: str | None = None,
        plan: Plan | None = None,
        on_event: Log | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """Answer for the frames of a source in a coroutine: ``async for result in session.stream_async("rtsp://…")``.

        All work, the opening of the source too, is done on threads, and bounded: where every frame counts they wait for
        the loop. Leaving the loop, a cancellation and a time limit end the run and wait until all is closed; a fault of
        any thread is raised here. Leave it early under ``contextlib.aclosing``, or it ends when it is collected.
        """
        return _awaited(self._begun(source, color, plan_of(plan, policy), on_event=on_event))

    def run(
        self,
        source: Frames,
        on_result: Callable[[Answer], object] | None = None,
        *,
        sinks: Iterable[Sink] = (),
        color: str | None = None,
        policy: str | None = None,
        plan: Plan | None = None,
        seconds: float | None = None,
        on_event: Log | None = None,
    ) -> LedgerReport:
        """Call a function with each answer for the frames of a source until it ends, and return the ledger.

        It is called on a thread of its own, one answer after the other; what it raises ends the run and is raised here.
        """
        if isinstance(sinks, (str, os.PathLike)) or not isinstance(sinks, Iterable):
            raise UsageError(f"sinks are a list of open outputs, not {sinks!r}. Type: sinks=[open_sink('told.jsonl')]")
        if seconds is not None:
            above_zero("seconds", seconds, "seconds=60")
        calls = {"on_result": on_result, "on_event": on_event}
        with self._begun(source, color, plan_of(plan, policy), sinks=sinks, **calls) as pipeline:
            return pipeline.run(seconds=seconds)

    def _begun(self, source: Frames, color: str | None, plan: Plan, **more: Any) -> AbstractContextManager[Pipeline]:
        """Check what was asked for; entered, open the source and lay the pipeline to this model."""
        for name in ("on_result", "on_event"):
            if (call := more.get(name)) is not None and not callable(call):
                raise UsageError(f"{name} is a function, and {call!r} cannot be called. Type: {name}=print")
        return self._laid(checked_frames(source, color), color, plan, more)

    @contextmanager
    def _laid(self, source: Frames, color: str | None, plan: Plan, more: dict[str, Any]) -> Iterator[Pipeline]:
        with opened_frames(source) as pictures:
            yield _pipeline()(self, (pictures,), plan=plan, color=color, **more)


def _pipeline() -> type[Pipeline]:
    from .pipeline import Pipeline  # here, so that who runs on pictures alone starts without it

    return Pipeline


async def _awaited(begun: AbstractContextManager[Pipeline]) -> AsyncGenerator[Any, None]:
    from .awaited import awaited

    async with aclosing(awaited(begun)) as answers:
        async for answer in answers:
            yield answer
