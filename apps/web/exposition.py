"""Write figures as Prometheus reads them: from a registry of its own, never the process's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from edgevit.errors import missing

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Exposition:
    """Hold a registry. ``collect`` yields what is read at the time of a scrape, so that nobody pays between scrapes."""

    def __init__(self, collect: Callable[[], Iterable[Metric]] | None = None) -> None:
        self.registry: Any = _prometheus().CollectorRegistry(auto_describe=False)
        if collect is not None:
            self.registry.register(_Collector(collect))

    def text(self) -> bytes:
        """Return all figures as they are now."""
        written: bytes = _prometheus().generate_latest(self.registry)
        return written

    @property
    def media_type(self) -> str:
        """What the text is."""
        kind: str = _prometheus().CONTENT_TYPE_LATEST
        return kind


class _Collector:
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _prometheus() -> Any:
    try:
        import prometheus_client
    except ImportError as exc:
        raise missing("prometheus-client", "Telling figures to Prometheus", "serve") from exc
    return prometheus_client
