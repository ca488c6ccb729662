"""Put a run's figures on a port for Prometheus, for as long as the run lasts: ``--metrics [HOST:]PORT``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgevit.runtime.pipeline import Pipeline

from .run_figures import RunFigures
from .web.exposition import PATH, Exposition
from .web.port import Port
from .web.running import Running
from .web.tokens import invitation

_BODY_BYTES = 1024


class Metrics(Port):
    """Hold the port of a run's figures; ``say`` gets their address, with the token if that was made."""

    def __init__(
        self,
        place: str,
        *,
        hosts: Sequence[str] = (),
        token: str | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        super().__init__(place, hosts=hosts, token=token)
        self._say, self._events = say, 0
        self._events_lock = threading.Lock()

    def counting(self, on_event: Callable[[str], object] | None) -> Callable[[str], object]:
        """Return what counts the events of a run, which come from any of its threads, and passes them on."""

        def heard(words: str) -> None:
            with self._events_lock:
                self._events += 1
            if on_event is not None:
                on_event(words)

        return heard

    @contextmanager
    def tells(self, pipeline: Pipeline, session: Any) -> Iterator[Running]:
        """Answer until the block is left."""
        figures = RunFigures(pipeline, session, events=lambda: self._events)
        with self.serving(Exposition(figures.collect), self.rules(_BODY_BYTES), grace_s=1) as running:
            self._say(self._where())
            yield running

    def _where(self) -> str:
        shown = f", with the header 'Authorization: Bearer {self._token}' (shown this once)" if self._made else ""
        told = ", with EDGEVIT_TOKEN's token" if self._token and not self._made else ""
        return f"The figures are at {invitation(self.address, None).rstrip('/')}{PATH}{shown}{told}."
