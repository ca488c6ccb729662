"""Split a model's answer into stages, which work on different frames at a time: a frame goes in, a result comes out.

A classifier has three: ``preprocess``, ``inference``, ``postprocess``. A tracker has one: where it cuts frame n + 1
depends on its answer to frame n, so nothing of the next frame can be prepared before this one is done. Anything else
that is called with a frame and returns a result has one as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from edgevit.errors import UsageError

from .frame import Frame


@dataclass(slots=True)
class Job:
    """Carry one frame through the stages. ``value`` is what the last stage returned, ``spent_ms`` what each one took.

    ``born_ns`` is when the frame was captured, on the clock of ``time.monotonic_ns``; of a source that is not live,
    when it was read. ``came_ms`` is how old it was when it came here, ``passed`` how old after each stage and how long
    it was in it. ``lane`` is the number of its source, ``rung`` that of the model that answers.
    """

    frame: Frame
    born_ns: int
    lane: int = 0
    value: Any = None
    spent_ms: dict[str, float] = field(default_factory=dict)
    came_ms: float = 0.0
    rung: int = 0
    passed: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """Name one step; ``run`` returns the job's next value, the last stage's the result.

    ``many`` does it for several jobs of different sources at once, ``most`` at a time; 0 is any number.
    """

    name: str
    run: Callable[[Job], Any]
    many: Callable[[Sequence[Job]], Sequence[Any]] | None = None
    most: int = 1

    def step(self, jobs: Sequence[Job]) -> None:
        """Give each job its next value."""
        if self.many is not None and len(jobs) > 1:
            for job, value in zip(jobs, self.many(jobs), strict=True):
                job.value = value
        else:
            for job in jobs:
                job.value = self.run(job)


@runtime_checkable
class Staged(Protocol):
    """Be a model that knows its stages."""

    def stages(self) -> tuple[Stage, ...]:
        """Return them in order."""


@runtime_checkable
class Heir(Protocol):
    """Be a model with a memory of each source, which can go on where another one stopped."""

    def take_over(self, before: Any, lane: int) -> None:
        """Take over what the other one knows of a source."""


@runtime_checkable
class Shrinkable(Protocol):
    """Be a model that can answer from smaller pictures, which takes it less time."""

    def smaller(self) -> Sequence[Any]:
        """Return it as models that do so, the largest first."""


Model = Staged | Callable[[Frame], Any]
"""What is no session is called with a frame and returns a ``Result``."""


@dataclass(frozen=True)
class Rung:
    """Be one of the models that a run may use, the best first."""

    name: str
    model: Model
    stages: tuple[Stage, ...]


class Heirs:
    """Let a model that comes in the place of another know what that one knew of each source."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._models = [rung.model for rung in rungs]
        self._used: dict[int, int] = {}

    def hand_over(self, jobs: Sequence[Job]) -> None:
        """Look who answered for these jobs' sources before, and have it handed on if that was another one."""
        for job in jobs if len(self._models) > 1 else ():
            before = self._used.get(job.lane, 0)
            if before != job.rung:
                model = self._models[job.rung]
                if isinstance(model, Heir):
                    model.take_over(self._models[before], job.lane)
                self._used[job.lane] = job.rung


def rungs_of(model: Model, fallbacks: Sequence[Model] = (), *, hurried: bool = False) -> tuple[Rung, ...]:
    """Return the models with their stages, which must be alike; one that is hurried has its smaller forms too."""
    for number, one in enumerate(fallbacks):
        if any(one is other for other in (model, *fallbacks[:number])):
            raise UsageError(
                "A model cannot stand in for itself, and is named twice. Leave it out, or name a faster one."
            )
    models = [model, *(model.smaller() if hurried and isinstance(model, Shrinkable) else ()), *fallbacks]
    called = alone([str(getattr(model, "name", f"model {number}")) for number, model in enumerate(models)])
    rungs = tuple(Rung(name, model, stages_of(model)) for name, model in zip(called, models, strict=True))
    names = [stage.name for stage in rungs[0].stages]
    for rung in rungs[1:]:
        if [stage.name for stage in rung.stages] != names:
            raise UsageError(
                f"{rung.name} cannot stand in for {rungs[0].name}: its stages are "
                f"{', '.join(stage.name for stage in rung.stages)}, not {', '.join(names)}."
            )
    return rungs


def alone(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same: a later one gets a number."""
    made: list[str] = []
    for name in names:
        own, number = name, 1
        while own in made:
            number += 1
            own = f"{name} ({number})"
        made.append(own)
    return made


def most_of(stages: Sequence[Stage], wanted: int | None, lanes: int) -> int:
    """Return how many frames, of different sources, are answered together."""
    sizes = [stage.most or lanes for stage in stages if stage.many is not None]
    return max(1, min(wanted or lanes, lanes, *sizes)) if sizes else 1


def stages_of(model: Model) -> tuple[Stage, ...]:
    """Return the stages of a session, or the one of any other callable."""
    if isinstance(model, Staged):
        return model.stages()
    if not callable(model):
        raise UsageError(
            f"A model is a session or a function from a frame to a result, not {model!r}. Type: edgevit.load(bundle)"
        )
    answer = model
    return (Stage("answer", lambda job: answer(job.frame)),)
