"""Hand every frame to several sinks. One that fails does not keep the others from being finished."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from ..frame import Frame
from ..results import Result
from .protocol import Sink


class Fan:
    """Be one sink in front of many."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = tuple(sinks)

    @property
    def place(self) -> str:
        return ", ".join(sink.place for sink in self._sinks)

    def write(self, frame: Frame, result: Result) -> None:
        for sink in self._sinks:
            sink.write(frame, result)

    def close(self) -> None:
        with ExitStack() as stack:  # closes all of them, and raises the first fault after that
            for sink in reversed(self._sinks):
                stack.callback(sink.close)
