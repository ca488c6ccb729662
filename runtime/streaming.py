"""Loop over a source's answers: in the caller's own thread where the source waits, on threads where it is live.

Three ways to the same answers: a loop, a loop of a coroutine, and a function that is called with each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .opened import Frames, opened_frames
from .plan import Plan
from .sinks import Sink

if TYPE_CHECKING:
    from .ledger_report import LedgerReport
    from .pipeline import Pipeline

Answer = TypeVar("Answer")
Log = Callable[[str], object]


class Streams(ABC, Generic[Answer]):
    """Be a session that answers for whole sources: a URI, a Source, or any frames. ``color`` is for bare arrays alone.

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
        plan = Plan(policy)
        with opened_frames(source) as pictures:
            if not getattr(pictures, "live", False):  # it waits by itself: every frame under both policies
                for picture in pictures:
                    yield self(picture, color=color)
                return
            answers: Iterator[Any] = _pipeline()(self, (pictures,), plan=plan, color=color).results()
            yield from answers

    async def stream_async(
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
        from .awaited import awaited

        begun = self._begun(source, color, _plan(policy, plan), on_event=on_event)
        async with aclosing(awaited(begun)) as answers:
            async for answer in answers:
                yield answer

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
        begun = self._begun(source, color, _plan(policy, plan), sinks=sinks, on_result=on_result, on_event=on_event)
        with begun as pipeline:
            return pipeline.run(seconds=seconds)

    @contextmanager
    def _begun(self, source: Frames, color: str | None, plan: Plan, **more: Any) -> Iterator[Pipeline]:
        """Open the source, and lay the pipeline to this model."""
        with opened_frames(source) as pictures:
            yield _pipeline()(self, (pictures,), plan=plan, color=color, **more)


def _pipeline() -> type[Pipeline]:
    from .pipeline import Pipeline  # here, so that who runs on pictures alone starts without it

    return Pipeline


def _plan(policy: str | None, plan: Plan | None) -> Plan:
    chosen = plan or Plan()
    return chosen if policy is None else replace(chosen, policy=policy)
