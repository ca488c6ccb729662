"""Put a page on a port for as long as a run lasts: take the port first, print where it is, say when it is over."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgevit.runtime.pipeline import Pipeline

from ..web.address import parse_address
from ..web.guard import Guard, Rules
from ..web.running import Listening, Running
from ..web.tokens import choose_token
from .page import Page

RECORDINGS = "recordings"
_DEAD_AFTER_MS = 30_000
_BODY_BYTES = 1024
"""Nothing that the page answers has a body."""


class Serving:
    """Hold a taken port. ``place`` is ``[HOST:]PORT``; on an address that others can reach a token is needed.

    It is the environment's ``EDGEVIT_TOKEN``, or made, and then ``say`` gets it once, in the address to open.
    """

    def __init__(
        self,
        place: str,
        *,
        hosts: Sequence[str] = (),
        record_dir: str | Path = RECORDINGS,
        token: str | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        self.record_dir = Path(record_dir)
        self._hosts, self._say = tuple(hosts), say
        address = parse_address(place)
        self._token, self._made = choose_token(address, token)
        self._listening = Listening(address)
        # A viewer that stopped reading for good would keep its connection, and what is owed to it, for ever.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._listening.take().setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
        self.address = self._listening.address

    @contextmanager
    def shows(self, page: Page, pipeline: Pipeline) -> Iterator[Running]:
        """Serve the page of this run until the block is left."""
        rules = Rules(self.address, self._token, self._hosts, most_body_bytes=_BODY_BYTES)
        with Running(Guard(page.application(pipeline), rules), self._listening, grace_s=2) as running:
            self._say(self._where())
            try:
                yield running
            finally:
                page.finish(pipeline.stopped)

    def close(self) -> None:
        """Give the port back, if no page was shown on it."""
        self._listening.close()

    def _where(self) -> str:
        """Say what to open; a token that somebody set is not repeated."""
        url = self.address.shown_url
        if self._token is None:
            return f"The page is at {url} (this machine alone; --serve 0.0.0.0:{self.address.port} for others)."
        if self._made:
            return f"The page is at {url}?token={self._token} (the token is shown this once)."
        return f"The page is at {url} with ?token= and the token of EDGEVIT_TOKEN behind it."
