"""Tell a run's ledger to Prometheus, read when it asks: frames pay nothing for it.

Ages are histograms, so that a window of time can be looked at and several boards added up, and beside them the ledger's
own percentiles since the run began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edgevit import __version__
from edgevit.runtime.ages import Ages
from edgevit.runtime.ledger_report import LedgerReport
from edgevit.runtime.pipeline import Pipeline

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 33.0, 50.0, 67.0, 100.0, 150.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)
_COUNTS = {
    "captured": "Frames that came.",
    "answered": "Frames that were answered.",
    "dropped": "Frames that a newer one replaced.",
    "late": "Frames that the deadline let go.",
    "disordered": "Answers that came after a later frame's.",
}


class RunFigures:
    """Hold a run; ``events`` tells how many lines it logged."""

    def __init__(self, pipeline: Pipeline, session: Any, events: Callable[[], int]) -> None:
        self._pipeline, self._session, self._events = pipeline, session, events

    def collect(self) -> Iterator[Metric]:
        """Yield every figure as it is now."""
        report = self._pipeline.report()
        yield from self._about()
        yield from self._pace(report)
        yield from _sources(report)
        yield from model_figures(report)
        yield from self._stages(report)

    def _about(self) -> Iterator[Metric]:
        from prometheus_client.core import InfoMetricFamily

        yield InfoMetricFamily("edgevit", "The edgevit that runs.", {"version": __version__})
        m = self._session.manifest
        facts = {"model": m.model, "task": m.task, "format": m.format, "precision": m.precision}
        facts |= {"engine": self._session.engine_description, "trained": str(m.trained).lower()}
        yield InfoMetricFamily("edgevit_bundle", "What answers.", {**facts, "policy": self._pipeline.policy})

    def _pace(self, report: LedgerReport) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily("edgevit_run_seconds", "For how long the run has been going.", report.seconds)
        now = self._pipeline.ledger.fps_now()
        yield GaugeMetricFamily("edgevit_answers_per_second", "Answers in the last three seconds, a second.", now)
        events = "Lines that the run logged: the deadline's switches, and what went wrong."
        yield CounterMetricFamily("edgevit_run_events", events, self._events())

    def _stages(self, report: LedgerReport) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        age = HistogramMetricFamily("edgevit_frame_age_seconds", "Age after a stage, from capture.", labels=("stage",))
        took = HistogramMetricFamily("edgevit_stage_seconds", "How long a stage took.", labels=("stage",))
        for stage, both in self._pipeline.ledger.ages().items():
            for family, ages in zip((age, took), both, strict=True):
                if ages.spread() is not None:
                    family.add_metric((stage,), _classes(ages), ages.sum_ms() / 1000)
        quantiles = GaugeMetricFamily(
            "edgevit_frame_age_quantile_seconds",
            "Age after a stage since the run began.",
            labels=("stage", "quantile"),
        )
        missed = CounterMetricFamily("edgevit_output_missed", "Answers that a slow output missed.", labels=("output",))
        for told in report.stages:
            if told.age is not None:
                for name in ("p50", "p95", "p99"):
                    seconds = getattr(told.age, f"{name}_ms") / 1000
                    quantiles.add_metric((told.name, f"0.{name[1:].rstrip('0')}"), seconds)
            if told.missed:
                missed.add_metric((told.name,), told.missed)
        yield from (age, took, quantiles, missed)


def _sources(report: LedgerReport) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    # Two sources may have one name, as a clip that is given twice; a series has each label once.
    names = [f"{n} {source.name}" for n, source in enumerate(report.sources)]
    for field, words in _COUNTS.items():
        family = CounterMetricFamily(f"edgevit_frames_{field}", words, labels=("source",))
        for name, source in zip(names, report.sources, strict=True):
            family.add_metric((name,), getattr(source, field))
        yield family
    again = CounterMetricFamily("edgevit_source_reconnects", "How often a source was opened again.", labels=("source",))
    fps = GaugeMetricFamily(
        "edgevit_source_answers_per_second", "Answers from the first to the last, a second.", labels=("source",)
    )
    for name, source in zip(names, report.sources, strict=True):
        again.add_metric((name,), source.reconnects)
        fps.add_metric((name,), source.fps)
    yield from (again, fps)


def model_figures(report: LedgerReport) -> Iterator[Metric]:
    """Tell which model answered, where faster ones stand by for the deadline."""
    from prometheus_client.core import CounterMetricFamily

    if report.models:
        switches = "How often the deadline let another model answer."
        yield CounterMetricFamily("edgevit_model_switches", switches, len(report.switches))
        answers = CounterMetricFamily("edgevit_model_answers", "Answers by model, the best first.", labels=("model",))
        for number, (name, count) in enumerate(report.models):
            answers.add_metric((f"{number} {name}",), count)
        yield answers


def _classes(ages: Ages) -> list[tuple[str, float]]:
    bounds = [(str(bound_ms / 1000), count) for bound_ms, count in zip(BOUNDS_MS, ages.at_most(BOUNDS_MS), strict=True)]
    return [*bounds, ("+Inf", ages.at_most((float("inf"),))[0])]
