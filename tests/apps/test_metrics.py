"""What Prometheus is told of a run is what the ledger says, and nobody is told it who may not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_files
import pytest
import tiny_bundles
from hypothesis import given
from hypothesis import strategies as st
from web_asking import Client, figure

import edgevit
from edgevit.apps import run_figures
from edgevit.apps.metrics import Metrics
from edgevit.apps.run import run
from edgevit.apps.web.exposition import Exposition
from edgevit.runtime.ages import Ages
from edgevit.runtime.ladder import Switch
from edgevit.runtime.ledger_report import LedgerReport
from edgevit.runtime.plan import Plan

for _package in ("onnxruntime", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    return tiny_bundles.write(folder / "bundle", content=content).path


def scraped(bundle: Path, source: str, at: int, ask: Callable[[Client], Any], **options: Any) -> tuple[Any, Any]:
    """Run, and ask in the middle, when so many answers were given; return what was asked for and the report."""
    said: list[str] = []
    metrics = Metrics("0", say=said.append)
    found: list[Any] = []
    seen = 0

    def on_result(result: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            client = Client(metrics.address.url)
            found.append(ask(client))
            client.close()

    try:
        with edgevit.load(bundle) as session:
            report = run(session, source, metrics=metrics, on_result=on_result, **options)
    finally:
        metrics.close()
    assert said == [f"The figures are at {metrics.address.url}metrics."]
    return found[0], report


def test_a_scrape_in_the_middle_of_a_run_tells_the_ledger(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "two.streams"
    source.write_text("synthetic://shapes?count=30\nsynthetic://shapes?count=30\n")
    text, report = scraped(bundle, str(source), 40, lambda client: client.ask("/metrics").body)
    names = [f"{n} {one.name}" for n, one in enumerate(report.sources)]
    answered = [figure(text, "edgevit_frames_answered_total", source=name) for name in names]
    assert 40 <= sum(answered) <= 60
    assert figure(text, "edgevit_frame_age_seconds_count", stage="postprocess") >= 40
    assert figure(text, "edgevit_frame_age_seconds_bucket", stage="postprocess", le="+Inf") >= 40
    quantiles = [
        figure(text, "edgevit_frame_age_quantile_seconds", stage="postprocess", quantile=q)
        for q in ("0.5", "0.95", "0.99")
    ]
    assert quantiles == sorted(quantiles)
    assert figure(text, "edgevit_bundle_info", model="tiny", policy="every", trained="true") == 1
    assert figure(text, "edgevit_run_events_total") == 0
    for field in ("captured", "dropped", "late", "disordered"):
        assert figure(text, f"edgevit_frames_{field}_total", source=names[0]) >= 0
    assert figure(text, "edgevit_source_reconnects_total", source=names[1]) == 0
    assert figure(text, "edgevit_run_seconds") <= report.seconds


def test_what_the_deadline_lets_go_is_told(bundle: Path) -> None:
    text, report = scraped(
        bundle,
        "synthetic://shapes?count=200&fps=200",
        3,
        lambda client: client.ask("/metrics").body,
        own_pace=True,
        plan=Plan("newest", max_latency_ms=0.001, limit=5),
    )
    assert figure(text, "edgevit_run_events_total") >= 1
    assert figure(text, "edgevit_bundle_info", policy="newest") == 1
    assert any("the limit of 0 ms cannot be kept" in event for event in report.events)


def test_events_of_two_threads_are_both_counted() -> None:
    both = threading.Barrier(2)

    class Count(int):
        """Be added to by two threads at the same time, if they are let."""

        def __add__(self, other: int) -> Count:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.5)
            return Count(int(self) + other)

    metrics = Metrics("0")
    metrics._events = Count()
    heard: list[str] = []
    on_event = metrics.counting(heard.append)
    threads = [threading.Thread(target=on_event, args=(word,)) for word in ("late", "lost")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.close()
    assert metrics._events == len(heard) == 2


def test_who_stands_in_for_the_deadline_is_told() -> None:
    switches = (Switch(1.0, "big", "small", "late"), Switch(9.0, "small", "big", "air"))
    report = LedgerReport(10.0, (), (), "answer", models=(("big", 30), ("small", 70)), switches=switches)
    text = Exposition(lambda: run_figures.model_figures(report)).text()
    assert figure(text, "edgevit_model_switches_total") == 2
    assert figure(text, "edgevit_model_answers_total", model="0 big") == 30
    assert figure(text, "edgevit_model_answers_total", model="1 small") == 70


def test_there_is_one_path_and_a_guard_before_it(bundle: Path) -> None:
    def ask(client: Client) -> list[int]:
        said = [client.ask("/metrics", method="HEAD"), client.ask("/"), client.ask("/metrics", body=b"x")]
        said += [client.ask("/metrics", headers={"Host": "evil.example"}), client.ask("/metrics", body=bytes(5000))]
        return [reply.status for reply in said]

    found, _ = scraped(bundle, "synthetic://shapes?count=5", 2, ask)
    assert found == [200, 404, 405, 421, 413]


def test_other_machines_show_a_token(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevit.apps.web.address.here", lambda: "192.0.2.7")
    said: list[str] = []
    metrics = Metrics("0.0.0.0:0", say=said.append)
    statuses: list[int] = []

    def on_result(result: Any) -> None:
        token = said[0].partition("Bearer ")[2].partition("'")[0]
        client = Client(f"http://127.0.0.1:{metrics.address.port}/")
        statuses.append(client.ask("/metrics").status)
        statuses.append(client.ask("/metrics", headers={"Authorization": f"Bearer {token}"}).status)
        client.close()

    with edgevit.load(bundle) as session:
        run(session, "synthetic://shapes?count=1", metrics=metrics, on_result=on_result)
    assert statuses == [401, 200]
    assert said[0].startswith(f"The figures are at http://192.0.2.7:{metrics.address.port}/metrics, with the header")


def test_the_port_is_given_back_when_the_run_is_over(bundle: Path) -> None:
    before = threading.active_count()
    _, _ = scraped(bundle, "synthetic://shapes?count=2", 1, lambda client: None)
    assert threading.active_count() <= before


@given(st.lists(st.floats(0.02, 20_000), min_size=1, max_size=60), st.floats(0.02, 20_000))
def test_classes_of_ages_are_counted_within_one_per_cent(values: list[float], bound: float) -> None:
    ages = Ages()
    for value in values:
        ages.add(value)
    (count,) = ages.at_most((bound,))
    assert sum(v <= bound * 0.98 for v in values) <= count <= sum(v <= bound * 1.02 for v in values)
    assert ages.at_most((float("inf"),)) == (len(values),)
    assert ages.sum_ms() == pytest.approx(sum(values), rel=0.011)
