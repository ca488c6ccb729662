"""Count what was served, for Prometheus; queues are read when it asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevit import __version__

from ..web.exposition import Exposition
from .shelf import Answered, Shelf

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Figures:
    """Hold the counters of one server. Names in labels are those of bundles alone, so that no client can add any."""

    def __init__(self, shelf: Shelf) -> None:
        from prometheus_client import Counter, Histogram

        self._shelf = shelf
        self._exposition = Exposition(self._collect)
        registry = self._exposition.registry
        self._answers = Counter(
            "edgevit_serve_answers", "Answers by bundle and status.", ("bundle", "status"), registry=registry
        )
        self._stages = Histogram(
            "edgevit_serve_stage_seconds",
            "How long an answer waited, and took in each stage; whole is from the request's head to its answer.",
            ("bundle", "stage"),
            buckets=_BUCKETS_S,
            registry=registry,
        )

    @property
    def media_type(self) -> str:
        """What the text is."""
        return self._exposition.media_type

    def text(self) -> bytes:
        """Return all figures as they are now."""
        return self._exposition.text()

    def answered(self, bundle: str, status: int | str) -> None:
        """Count an answer."""
        self._answers.labels(bundle, str(status)).inc()

    def told(self, bundle: str, told: Answered, whole_s: float) -> None:
        """Count how long a good one took."""
        spent_ms = {"wait": told.waited_ms, "decode": told.decoded_ms, **told.data["speed"], "whole": whole_s * 1000}
        for stage, milliseconds in spent_ms.items():
            self._stages.labels(bundle, stage).observe(milliseconds / 1000)

    def _collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("edgevit", "The edgevit that serves.", {"version": __version__})
        about = InfoMetricFamily("edgevit_bundle", "What is served.", labels=("bundle",))
        waiting = GaugeMetricFamily("edgevit_serve_waiting", "Requests that wait.", labels=("bundle",))
        busy = GaugeMetricFamily(
            "edgevit_serve_busy_seconds", "For how long the request at hand has been going.", labels=("bundle",)
        )
        for name, one in self._shelf.served.items():
            m = one.bundle.manifest
            facts = {"model": m.model, "format": m.format, "precision": m.precision, "engine": one.engine}
            about.add_metric((name,), {**facts, "trained": str(m.trained).lower()})
            waiting.add_metric((name,), one.desk.waiting)
            busy.add_metric((name,), one.desk.busy_s())
        yield from (about, waiting, busy)
