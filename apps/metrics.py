"""Put a run's figures on a port for Prometheus, for as long as the run lasts: ``--metrics [HOST:]PORT``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgevit.runtime.pipeline import Pipeline

from .run_figures import RunFigures
from .web.address import parse_address
from .web.exposition import PATH, Exposition
from .web.guard import Guard, Rules
from .web.running import Listening, Running, check_packages
from .web.tokens import choose_token

_BODY_BYTES = 1024


class Metrics:
    """Hold a taken port. On an address that others can reach a token is needed, as for a page.

    It is the environment's ``EDGEVIT_TOKEN``, or made, and then ``say`` gets it once.
    """

    def __init__(
        self,
        place: str,
        *,
        hosts: Sequence[str] = (),
        token: str | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        check_packages()
        self._hosts, self._say = tuple(hosts), say
        address = parse_address(place)
        self._token, self._made = choose_token(address, token)
        self._listening = Listening(address)
        self.address = self._listening.address
        self._events = 0

    def counting(self, on_event: Callable[[str], object] | None) -> Callable[[str], object]:
        """Return what counts the events of a run and passes them on."""

        def heard(words: str) -> None:
            self._events += 1
            if on_event is not None:
                on_event(words)

        return heard

    @contextmanager
    def tells(self, pipeline: Pipeline, session: Any) -> Iterator[Running]:
        """Answer until the block is left."""
        figures = RunFigures(pipeline, session, events=lambda: self._events)
        rules = Rules(self.address, self._token, self._hosts, most_body_bytes=_BODY_BYTES)
        with Running(Guard(Exposition(figures.collect), rules), self._listening, grace_s=1) as running:
            self._say(self._where())
            yield running

    def close(self) -> None:
        """Give the port back, if nothing was told on it."""
        self._listening.close()

    def _where(self) -> str:
        shown = f", with the header 'Authorization: Bearer {self._token}' (shown this once)" if self._made else ""
        told = ", with EDGEVIT_TOKEN's token" if self._token and not self._made else ""
        return f"The figures are at {self.address.shown_url.rstrip('/')}{PATH}{shown}{told}."
