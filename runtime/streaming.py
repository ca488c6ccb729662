"""Loop over a source's answers: in the caller's own thread where the source waits, on threads where it is live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from .frame import Frame, Pixels
from .plan import Plan

Answer = TypeVar("Answer", covariant=True)


def streamed(
    model: Callable[..., Answer], pictures: Iterable[Frame | Pixels], color: str | None, policy: str | None
) -> Iterator[Answer]:
    """Yield the answers. What is not live waits by itself, so both policies answer for every frame of it."""
    plan = Plan(policy)
    if not getattr(pictures, "live", False):
        for picture in pictures:
            yield model(picture, color=color)
        return
    from .pipeline import Pipeline  # here, so that who runs on pictures alone starts without it

    answers: Iterator[Any] = Pipeline(model, pictures, plan=plan, color=color).results()
    yield from answers
