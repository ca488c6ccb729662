"""Write nothing: for measuring, and for runs whose results the caller alone wants."""

from __future__ import annotations

from ..frame import Frame
from ..results import Result
from .protocol import Sink


class Null:
    """Take everything, keep nothing."""

    place = "null://"

    def write(self, frame: Frame, result: Result) -> None:
        pass

    def close(self) -> None:
        pass


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open the sink that leads nowhere."""
    return Null()
