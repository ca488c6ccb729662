"""Take frames with their results somewhere. One kind a file."""

from __future__ import annotations

from typing import Protocol

from ..frame import Frame
from ..results import Result


class Sink(Protocol):
    """Take one frame and its result at a time, in order."""

    def write(self, frame: Frame, result: Result) -> None:
        """Take one."""

    def close(self) -> None:
        """Finish what was written; a sink that is never closed leaves no half file under the final name."""
