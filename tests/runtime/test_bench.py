"""A benchmark runs each bundle in a process of its own, in turns; a process that dies or lies is told, not believed."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.bundle import Bundle, seal, staging
from edgevit.errors import BundleError, UsageError
from edgevit.manifest import GraphFile, Manifest
from edgevit.progress import Step
from edgevit.provenance import Provenance, WeightsRecord
from edgevit.runtime import bench as bench_module
from edgevit.runtime.bench import bench
from edgevit.runtime.bench_worker import measure, memory_bytes, pictures
from edgevit.runtime.figures import STAGES, BenchReport, BundleFigures, Interval, Percentiles
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.thermals import clock_mhz, temperature_c
from edgevit.spec import ImageSpec, Spec, TensorSpec


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Seal a bundle that the null engine can run."""
    image = TensorSpec("image", (1, 3, 32, 32))
    graph = GraphFile("model.onnx", "main", (image,), (TensorSpec("logits", (1, 4)),), "graph-only")
    manifest = Manifest(
        model="tiny",
        spec=Spec("classify", ImageSpec((32, 32), (32, 32)), ("a", "b", "c", "d")),
        format="onnx",
        precision="fp32",
        engine={"name": "onnxruntime", "minimum": "1.16"},
        graphs={"main": graph},
        provenance=Provenance(WeightsRecord("random", trained=False), "Apache-2.0"),
        verification={"passed": True},
        golden={"file": "golden.npz"},
        reference={"file": "golden.npz"},
    )
    with staging(tmp_path / "tiny-onnx-fp32") as folder:
        (folder / "model.onnx").write_bytes(b"not a model")
        np.savez(folder / "golden.npz", picture=np.zeros(1))
        return seal(folder, manifest, tmp_path / "tiny-onnx-fp32")


def test_a_bundle_is_run_in_another_process_and_every_stage_is_timed(bundle: Bundle) -> None:
    steps: list[Step] = []
    report = bench(
        [bundle, bundle.path], iterations=7, warmup=1, engine="null", picture_hw=(40, 60), progress=steps.append
    )
    assert [r.fault for r in report.results] == [None, None]
    for result in report.results:
        assert set(result.stages) == set(STAGES)
        assert {p.count for p in result.stages.values()} == {7}
        assert result.stages["total"].p50_ms >= result.stages["inference"].min_ms > 0
        assert result.load_ms is not None
        assert result.first_ms is not None
        assert "null engine" in result.engine
        assert not result.trained
    assert report.rounds == 7
    assert steps[-1].name == "measure"
    assert steps[-1].seconds is not None
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["results"][0]["ratio"] == 1.0
    assert data["results"][0]["size_bytes"] == len(b"not a model")


def test_a_sustained_run_has_a_figure_for_each_interval(bundle: Bundle) -> None:
    report = bench([bundle], seconds=2.0, warmup=0, engine="null", picture_hw=(40, 60))
    (result,) = report.results
    assert len(result.intervals) == 2
    assert result.intervals[0].start_s < 1 <= result.intervals[1].start_s + 0.5
    assert sum(i.count for i in result.intervals) == result.stages["total"].count
    assert result.slowdown is not None


def test_what_cannot_run_here_has_a_fault_and_the_others_go_on(bundle: Bundle, tmp_path: Path) -> None:
    (result,) = bench([bundle], iterations=2, warmup=0, engine="nul").results
    assert result.fault is not None
    assert "Did you mean null" in result.fault
    assert result.exit_code == 2
    assert result.stages == {}
    with pytest.raises(BundleError):
        bench([tmp_path / "nothing"])
    for wrong in ({"iterations": 0}, {"warmup": -1}, {"seconds": 0.0}):
        with pytest.raises(UsageError):
            bench([bundle], **wrong)


Stub = Callable[[str], None]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    """Put another program in the place of the worker."""

    def install(program: str) -> None:
        path = tmp_path / "stub.py"
        ready = "import json, sys, os, time\ndef say(**d): print(json.dumps(d), flush=True)\n"
        path.write_text(ready + textwrap.dedent(program), encoding="utf-8")
        monkeypatch.setattr(bench_module, "WORKER", (sys.executable, str(path)))

    return install


def test_a_process_that_dies_says_its_last_words(bundle: Bundle, stub: Stub) -> None:
    stub("""
        say(load_ms=1, first_ms=1)
        sys.stdin.readline()
        print("illegal instruction in conv2d", file=sys.stderr, flush=True)
        os._exit(9)
    """)
    (result,) = bench([bundle], iterations=3).results
    assert result.fault is not None
    assert "exit code 9" in result.fault
    assert "illegal instruction in conv2d" in result.fault
    assert result.exit_code == 1


def test_a_process_that_hangs_is_ended(bundle: Bundle, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_SILENCE_S", 0.5)
    stub("time.sleep(60)")
    (result,) = bench([bundle], iterations=3).results
    assert result.fault is not None
    assert "ended without an answer" in result.fault


def test_bundles_take_turns_in_an_order_that_is_reversed_each_round(bundle: Bundle, stub: Stub, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    stub(f"""
        me = json.loads(sys.argv[1])["threads"]
        say(load_ms=1, first_ms=1)
        for line in sys.stdin:
            q = json.loads(line)
            if q.get("end"):
                say(peak_memory_bytes=5)
                break
            with open({str(log)!r}, "a") as f:
                f.write(f"{{os.getpid()}} {{q['count']}}\\n")
            say(**{{s: [1.0] * q["count"] for s in {STAGES!r}}})
    """)
    report = bench([bundle, bundle], iterations=20, warmup=0)
    lines = [line.split() for line in log.read_text().splitlines()]
    first, second = lines[0][0], lines[1][0]
    assert first != second
    assert [pid for pid, _ in lines] == [first, second, second, first] * 5
    assert {count for _, count in lines} == {"2"}
    assert [r.stages["total"].count for r in report.results] == [20, 20]
    assert report.results[0].peak_memory_bytes == 5


def test_the_worker_loads_neither_torch_nor_an_engine_it_was_not_asked_for(
    bundle: Bundle, stub: Stub, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    stub(f"""
        import runpy
        runpy.run_module("edgevit.runtime.bench_worker", run_name="__main__")
        heavy = ("torch", "timm", "onnxruntime", "openvino", "rich", "cv2")
        with open({str(log)!r}, "w") as f:
            f.write(" ".join(["ended", *(m for m in heavy if m in sys.modules)]))
        os.close(1)
    """)
    (result,) = bench([bundle], iterations=1, warmup=0, engine="null", picture_hw=(40, 60)).results
    assert result.fault is None
    for _ in range(100):
        if log.exists() and log.read_text():
            break
        time.sleep(0.05)
    assert log.read_text() == "ended"


class FakeSession:
    """Answer at once, with stages of one, two and three milliseconds."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, frame: Frame) -> Classification:
        self.seen.append(frame.source)
        return Classification(np.full(2, 0.5, np.float32), ("a", "b"), frame, Speed(1, 2, 3))


def test_measure_counts_and_goes_round_the_pictures() -> None:
    session, frames = FakeSession(), pictures((32, 48))
    times = measure(session, frames, count=6)
    assert [len(times[stage]) for stage in STAGES] == [6] * 4
    assert times["inference"] == [2.0] * 6
    assert session.seen[:5] == [f"synthetic picture {n}" for n in (0, 1, 2, 3, 0)]
    assert frames[0].size_hw == (32, 48)
    assert measure(session, frames, count=0)["total"] == []
    assert len(measure(session, frames, seconds=0.0)["total"]) == 1


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=50))
def test_percentiles_are_in_order(times: list[float]) -> None:
    p = Percentiles.of(times)
    assert p.min_ms <= p.p50_ms <= p.p95_ms <= p.p99_ms <= round(max(times), 3)
    assert p.count == len(times)


def test_ratios_and_slowdown() -> None:
    def figures(p50: float, intervals: tuple[Interval, ...] = ()) -> BundleFigures:
        stages = {"total": Percentiles(p50, p50, p50, p50, p50, 1)} if p50 else {}
        return BundleFigures("x", "m", "onnx", "fp32", 1, True, stages=stages, intervals=intervals)

    hot = figures(4.0, (Interval(0, 2.0, 3, 9), Interval(5, 3.0, 4, 9)))
    report = BenchReport("chip", 2, (figures(2.0), hot, figures(0)), 1, 1, (4, 4))
    assert [report.ratio(r) for r in report.results] == [1.0, 2.0, None]
    assert hot.slowdown == 1.5
    assert report.results[0].slowdown is None


def test_clock_and_heat_are_read_where_they_are_and_unknown_elsewhere(tmp_path: Path) -> None:
    assert clock_mhz(tmp_path) is None
    assert temperature_c(tmp_path) is None
    files: dict[str, Any] = {
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1_800_000,
        "devices/system/cpu/cpu11/cpufreq/scaling_cur_freq": 2_400_000,
        "class/thermal/thermal_zone0/temp": 61_500,
        "class/thermal/thermal_zone1/temp": -274_000,
        "class/thermal/thermal_zone2/temp": "busy",
    }
    for name, value in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{value}\n")
    assert clock_mhz(tmp_path) == 2100
    assert temperature_c(tmp_path) == 61.5


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc there")
def test_the_peak_is_this_process_own() -> None:
    now, peak = memory_bytes("VmRSS"), memory_bytes("VmHWM")
    assert now is not None
    assert peak is not None
    assert peak >= now > 1 << 20
