"""Put a page on a port for as long as a run lasts: take the port first, print where it is, say when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgevit.runtime.pipeline import Pipeline

from ..web.port import Port
from ..web.running import Running
from .page import Page

RECORDINGS = "recordings"
_BODY_BYTES = 1024
"""Nothing that the page answers has a body."""


class Serving(Port):
    """Hold the port of a page; ``say`` gets its address, with the token if that was made."""

    def __init__(
        self,
        place: str,
        *,
        hosts: Sequence[str] = (),
        record_dir: str | Path = RECORDINGS,
        token: str | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        super().__init__(place, hosts=hosts, token=token)
        self.record_dir, self._say = Path(record_dir), say

    @contextmanager
    def shows(self, page: Page, pipeline: Pipeline) -> Iterator[Running]:
        """Serve the page of this run until the block is left."""
        with self.serving(page.application(pipeline), self.rules(_BODY_BYTES), grace_s=2) as running:
            self._say(self._where())
            try:
                yield running
            finally:
                page.finish(pipeline.stopped)

    def _where(self) -> str:
        """Say what to open."""
        if self._token is None:
            return f"The page is at {self.url} (this machine alone; --serve 0.0.0.0:{self.address.port} for others)."
        if self._made:
            return f"The page is at {self.url} (the token is shown this once)."
        return f"The page is at {self.url} with ?token= and the token of EDGEVIT_TOKEN behind it."
