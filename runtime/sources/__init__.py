"""Turn an input URI into frames. One kind a file; a source is an iterator of Frames that can be closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..frame import Frame


class Source(Protocol):
    """Yield frames until there are no more. ``live`` sources lose what nobody fetches; others wait."""

    live: bool

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""

    def close(self) -> None:
        """Give the file or device back."""
