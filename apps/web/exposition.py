"""Write figures as Prometheus reads them: from a registry of its own, never the process's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from edgevit.errors import missing

from .answers import Refusal, refuse, respond

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from starlette.types import Receive, Scope, Send

PATH = "/metrics"


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an application that has one path."""
        if scope["type"] not in ("http", "websocket"):
            return
        if scope["type"] == "websocket" or scope["path"] != PATH:
            await refuse(scope, send, Refusal(404, f"There is only one path here. Type: GET {PATH}"))
        elif scope["method"] not in ("GET", "HEAD"):
            allow = {"allow": "GET, HEAD"}
            await refuse(scope, send, Refusal(405, f"{PATH} is not for {scope['method']}. Type: GET {PATH}", allow))
        else:
            written = self.text()
            headers = {"content-type": self.media_type, "content-length": str(len(written))}
            await respond(scope, send, 200, headers, written)


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
