"""Say what a sink is: it takes frames with their results, and finishes what it wrote when it is closed."""

from __future__ import annotations

from typing import Protocol

from ..frame import Frame
from ..results import Result

PATIENCE_S = 5.0
"""How long a close waits for a write that hangs; then it is left to that thread, of which the run has told already."""

READER_GONE = "the reader of the output went away"
WINDOW_CLOSED = "the window was closed"
"""What a report says of a run that nobody wanted more of. Exit codes are taken from these too."""


class WindowClosed(BrokenPipeError):  # noqa: N818 - it is the end that was wished for
    """Tell that a person has ended it in a window; another BrokenPipeError tells that a reader stopped reading."""


def who_left(gone: BrokenPipeError) -> str:
    """Return the words for the one who left."""
    return WINDOW_CLOSED if isinstance(gone, WindowClosed) else READER_GONE


class Sink(Protocol):
    """Take one frame and its result at a time, in order.

    ``place`` is where a person finds what was written. A sink that was closed holds all it was given; one that was
    never closed, or that failed, leaves no half file under the final name.
    """

    @property
    def place(self) -> str:
        """Name the file, the folder or the stream."""

    def write(self, frame: Frame, result: Result) -> None:
        """Take one."""

    def close(self) -> None:
        """Finish what was written; a second call does nothing."""
