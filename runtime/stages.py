"""Split a model's answer into stages, each of which can have a thread of its own: a frame goes in, a result comes out.

A classifier has three: ``preprocess``, ``inference``, ``postprocess``. A tracker has one: where it cuts frame n + 1
depends on its answer to frame n, so nothing of the next frame can be prepared before this one is done. Anything else
that is called with a frame and returns a result has one as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from .frame import Frame


@dataclass
class Job:
    """Carry one frame through the stages. ``value`` is what the last stage returned, ``spent_ms`` what each one took.

    ``born_ns`` is when the frame was captured, on the clock of ``time.monotonic_ns``; of a source that is not live,
    when it was read. ``lane`` is the number of its source.
    """

    frame: Frame
    born_ns: int
    lane: int = 0
    value: Any = None
    spent_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Name one step; ``run`` returns the job's next value, the last stage's the result."""

    name: str
    run: Callable[[Job], Any]


@runtime_checkable
class Staged(Protocol):
    """Be a model that knows its stages."""

    def stages(self) -> tuple[Stage, ...]:
        """Return them in order."""


Model = Staged | Callable[[Frame], Any]
"""What is no session is called with a frame and returns a ``Result``."""


def stages_of(model: Model) -> tuple[Stage, ...]:
    """Return the stages of a session, or the one of any other callable."""
    if isinstance(model, Staged):
        return model.stages()
    answer = model
    return (Stage("answer", lambda job: answer(job.frame)),)
