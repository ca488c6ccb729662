"""Tell how far a long piece of work has come: the one event that library code sends and a console shows.

Whoever takes more than a second calls ``progress(Step(...))`` when a step begins (``done`` is None or 0), while it runs
if it can count (``done`` of ``total``), and when it ends (``seconds`` is set). A step is known by its ``name``, and one
runs at a time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Report on one step. ``detail`` is for people; ``seconds`` is how long the finished step took."""

    name: str
    detail: str = ""
    done: int | None = None
    total: int | None = None
    seconds: float | None = None


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Show nothing: what library code uses when no one listens."""


@contextlib.contextmanager
def step(progress: Progress | None, name: str, detail: str = "") -> Iterator[None]:
    """Report the beginning and the end of one step. A step that fails has no end: the error speaks for it."""
    tell = progress or silent
    began = time.perf_counter()
    tell(Step(name, detail))
    yield
    tell(Step(name, detail, seconds=time.perf_counter() - began))
