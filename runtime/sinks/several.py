"""Tell the answers of several sources apart: an output of its own for each, or its number and name in every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..frame import Frame
from ..results import Result
from .protocol import Sink


class OfSource:
    """Be the output of one source alone: a pipeline gives it the answers of that ``lane``, on a thread of its own."""

    def __init__(self, sink: Sink, lane: int) -> None:
        self.only_lane = lane
        self._sink = sink

    @property
    def place(self) -> str:
        return self._sink.place

    def write(self, frame: Frame, result: Result) -> None:
        self._sink.write(frame, result)

    def close(self) -> None:
        self._sink.close()


class Told:
    """Hand each answer to a function as plain JSON data, with the source's number and name if there are several."""

    place = "printing"

    def __init__(self, function: Callable[[dict[str, Any]], object], names: tuple[str, ...]) -> None:
        self._function, self._names = function, names

    def write(self, frame: Frame, result: Result) -> None:
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Hand it on."""
        self._function({**source_of_answer(lane, self._names), **result.to_dict()})

    def close(self) -> None:
        pass


def source_of_answer(lane: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Say which of several sources an answer is of; nothing where there is only one."""
    return {"lane": lane, "source_name": names[lane]} if len(names) > 1 else {}
