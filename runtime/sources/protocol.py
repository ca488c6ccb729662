"""Say what a source is: an iterator of Frames that can be closed, and that owns up to what it could not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import isgenerator
from typing import Literal, Protocol, get_args

from edgevit.errors import UsageError

from ..frame import Frame

OnError = Literal["stop", "skip"]


class Source(Protocol):
    """Yield frames until there are no more; each loop over a source that is not live begins again.

    ``live`` sources lose what nobody fetches, and stamp frames with ``time.monotonic_ns``. Others wait, and stamp them
    with a clock of their own that starts at 0 with the first frame: a video its presentation time, pictures one a
    second. ``total`` is the number of frames, or None where only the end will tell. ``faults`` holds one sentence for
    each thing that could not be read and was passed over. A ledger calls a source by its ``name`` and counts its
    ``reconnects`` and what it has ``left_out``, if it has these; one with ``hurry`` is told by it that only the newest
    frame counts. One that says ``any_thread`` may be read by one thread now and by another one later.
    """

    @property
    def live(self) -> bool:
        """Whether frames come by themselves, fetched or not."""

    @property
    def total(self) -> int | None:
        """How many frames there are, as far as it is known beforehand."""

    @property
    def faults(self) -> Sequence[str]:
        """What the last loop passed over, one sentence each."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""

    def close(self) -> None:
        """Give the file or device back; a loop that is under way ends. A second call does nothing."""


def let_go(source: object) -> None:
    """Close a source, if it can be. A generator cannot while its reader is in it: that one ends with its next frame."""
    close = getattr(source, "close", None)
    if close is None:
        return
    try:
        close()
    except ValueError as exc:
        if not (isgenerator(source) and "already executing" in str(exc)):
            raise


def checked_on_error(on_error: str) -> OnError:
    """Return the policy, or raise for a word that is none."""
    if on_error not in get_args(OnError):
        raise UsageError(f"on_error must be 'stop' or 'skip', not {on_error!r}.")
    return on_error  # type: ignore[return-value]  # just checked
