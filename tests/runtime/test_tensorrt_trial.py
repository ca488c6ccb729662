"""What ``edgevit build`` makes is held against the golden sample, and verify runs it where it was built."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files
import pytest
import tensorrt_tracker
import tiny_bundles
from onnx import TensorProto, helper, numpy_helper
from tensorrt_here import COMPILER, Device, opened, sealed

from edgevit.bundle import Bundle
from edgevit.cli import main
from edgevit.errors import EngineError, EnvironmentFault, RefusedError, UsageError
from edgevit.exporters.verify import verify
from edgevit.kernels import prepare
from edgevit.progress import Step
from edgevit.runtime import engine_cache
from edgevit.runtime.engine_cache import EngineCache, EngineKey
from edgevit.runtime.engines.tensorrt_build import BuildOptions, build
from edgevit.spec import Spec

pytestmark = pytest.mark.skipif(COMPILER is None, reason="the stand-in of libcudart is C")

Capture = pytest.CaptureFixture[str]
TOLERANCE = 0.02
GOLDEN = {"file": "sample.npz", "relative_tolerance": TOLERANCE}


def stored(**arrays: Any) -> bytes:
    """Return arrays as the bytes of an .npz file."""
    stream = BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def sampled(folder: Path, precision: str = "fp16", **net: Any) -> Bundle:
    """Seal a bundle with a golden sample that a wrong engine answers wrongly: random numbers, and their means."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    tensor = prepare(picture, tiny_bundles.IMAGE, color="rgb")
    sample = stored(picture=picture, input=tensor, output=tensor.mean((2, 3)))
    return sealed(folder, precision, more={"sample.npz": sample}, golden=GOLDEN, **net)


def cached(bundle: Bundle) -> set[str]:
    return {p.suffix for p in EngineCache(bundle.path).folder.iterdir() if p.suffix}


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_a_right_engine_is_kept_with_its_figure(tmp_path: Path, device: Device, version: str) -> None:
    trt = device(version)
    trt.skew = 1 + TOLERANCE / 2  # type: ignore[attr-defined]
    bundle = sampled(tmp_path / "b")
    (built,) = build(bundle)
    assert built.golden_relative_error == pytest.approx(TOLERANCE / 2, rel=0.01)
    record = json.loads(built.path.with_suffix(".json").read_text())
    assert record["golden_relative_error"] == built.golden_relative_error
    (again,) = build(bundle)
    assert (again.reused, again.golden_relative_error) == (True, built.golden_relative_error)


@pytest.mark.parametrize("skew", [1 + TOLERANCE * 1.5, 0.0, -1.0])
def test_an_engine_that_answers_wrongly_is_refused_and_its_timings_stay(
    tmp_path: Path, device: Device, skew: float
) -> None:
    device().skew = skew  # type: ignore[attr-defined]
    bundle = sampled(tmp_path / "b")
    with pytest.raises(RefusedError, match=r"10\.3\.0 built of b answers .* off, where 0\.02 is.*--precision fp32"):
        build(bundle)
    assert cached(bundle) == {".bin"}
    with pytest.raises(EnvironmentFault, match="no engine for Orin"):
        opened(bundle)


@pytest.mark.parametrize(("precision", "nearest"), [("int8", "--precision fp16"), ("fp32", "--format onnx")])
def test_an_engine_that_gives_no_numbers_is_refused(
    tmp_path: Path, device: Device, capsys: Capture, precision: str, nearest: str
) -> None:
    device().skew = np.nan  # type: ignore[attr-defined]
    bundle = sampled(tmp_path / "b", precision)
    assert main(["build", str(bundle.path)]) == 1
    told = capsys.readouterr().err
    assert "with what is no number" in told
    assert nearest in told
    assert cached(bundle) == {".bin"}


def test_a_batch_that_is_fixed_or_varies_is_tried_too(tmp_path: Path, device: Device) -> None:
    trt = device()
    for place, batch in enumerate((4, "n")):
        bundle = sampled(tmp_path / f"b{place}", batch=batch)
        assert build(bundle)[0].golden_relative_error == pytest.approx(0, abs=1e-5)
        trt.skew = 2.0  # type: ignore[attr-defined]
        with pytest.raises(RefusedError):
            build(bundle, BuildOptions(force=True))
        trt.skew = 1.0  # type: ignore[attr-defined]


def test_an_engine_whose_record_has_no_figure_is_built_anew(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sampled(tmp_path / "b")
    for wrong in ({}, {"golden_relative_error": "none"}):
        record = build(bundle)[0].path.with_suffix(".json")
        told = json.loads(record.read_text())
        del told["golden_relative_error"]
        record.write_text(json.dumps(told | wrong))
        assert not build(bundle)[0].reused
    assert made.builds == 3


def test_the_verb_tells_the_figure(tmp_path: Path, device: Device, capsys: Capture) -> None:
    device().skew = 1.01  # type: ignore[attr-defined]
    bundle = sampled(tmp_path / "b")
    assert main(["build", str(bundle.path)]) == 0
    assert "its answer to the golden sample is 0.01 off (0.02 allowed)" in capsys.readouterr().out
    assert main(["build", str(bundle.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["built"][0]["golden_relative_error"] == pytest.approx(0.01, rel=0.01)


# Trackers


def test_both_engines_of_a_tracker_are_held_to_the_sample(tmp_path: Path, device: Device, capsys: Capture) -> None:
    trt = device()
    trt.skew = 1 + TOLERANCE / 2  # type: ignore[attr-defined]
    bundle = tensorrt_tracker.sealed(tmp_path / "b", TOLERANCE)
    built = build(bundle)
    assert [one.graph for one in built] == ["template", "track"]
    for one in built:
        assert one.golden_relative_error == pytest.approx(TOLERANCE / 2, rel=0.01)
    assert all(one.reused for one in build(bundle))
    assert main(["build", str(bundle.path)]) == 0
    assert capsys.readouterr().out.count("its answer to the golden sample is 0.01 off") == 2


@pytest.mark.parametrize(
    ("spoilt", "graph", "builds"),
    [({"template_colour": 0.1}, "template", 1), ({"track_box": 0.3}, "track", 2), ({"track_score": 2.0}, "track", 2)],
)
def test_a_trackers_engine_that_answers_wrongly_is_refused_by_its_graph(
    tmp_path: Path, device: Device, spoilt: dict[str, float], graph: str, builds: int
) -> None:
    made = device().made
    bundle = tensorrt_tracker.sealed(tmp_path / "b", TOLERANCE, **spoilt)
    with pytest.raises(RefusedError, match=rf"built of '{graph}' of b answers .* off, where 0\.02 is"):
        build(bundle)
    assert made.builds == builds


def test_a_trackers_score_is_compared_as_a_probability(tmp_path: Path, device: Device) -> None:
    device()
    bundle = tensorrt_tracker.sealed(tmp_path / "b", TOLERANCE, track_score=TOLERANCE * 4)  # a logit of about 3
    assert 0 < (build(bundle)[1].golden_relative_error or 0) < TOLERANCE


def test_a_trackers_engine_that_was_never_tried_is_built_anew(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = tensorrt_tracker.sealed(tmp_path / "b", TOLERANCE)
    record = build(bundle)[1].path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"golden_relative_error": None}))
    assert [one.reused for one in build(bundle)] == [True, False]
    assert made.builds == 3


# verify


def test_verify_runs_the_engine_where_it_was_built(tmp_path: Path, device: Device) -> None:
    trt = device()
    bundle = sampled(tmp_path / "b")
    before = verify(bundle, golden=True)
    assert "standing in for TensorRT" in before.engine
    build(bundle)
    report = verify(bundle, golden=True)
    assert report.passed
    assert report.engine == "TensorRT 10.3.0, Orin, fp16"
    trt.skew = 1.5  # type: ignore[attr-defined]
    assert not verify(bundle, golden=True).passed


def test_verify_on_the_device_needs_no_onnxruntime(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device()
    bundle = sampled(tmp_path / "b")
    build(bundle)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert verify(bundle, golden=True).passed


def test_with_neither_engine_nor_onnxruntime_both_ways_out_are_told(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device()
    bundle = sampled(tmp_path / "b")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EnvironmentFault, match=rf"pip install .*edgevit build {bundle.path}"):
        verify(bundle, golden=True)


def test_an_engine_of_elsewhere_leaves_verify_to_the_file(tmp_path: Path, device: Device) -> None:
    device(gpu="Xavier", compute=(7, 2))
    bundle = sampled(tmp_path / "b")
    build(bundle)
    device()
    assert "standing in for TensorRT" in verify(bundle, golden=True).engine


def test_an_engine_that_tensorrt_refuses_is_no_reason_to_prove_another_one(tmp_path: Path, device: Device) -> None:
    trt = device()
    bundle = sampled(tmp_path / "b")
    build(bundle)
    trt.refuses = True  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=r"refuses the engine.*--force"):
        verify(bundle, golden=True)


# Timings


def test_a_folder_as_timing_cache_is_told_before_the_build(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sampled(tmp_path / "b")
    with pytest.raises(UsageError, match=r"is a folder; .*--timing-cache .*timings\.bin"):
        build(bundle, BuildOptions(timing_cache=tmp_path))
    with pytest.raises(UsageError, match=r"no such folder for the timings. Type: mkdir -p"):
        build(bundle, BuildOptions(timing_cache=tmp_path / "nowhere" / "t.bin"))
    assert made.builds == 0


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/self").is_dir(), reason="there is no place that takes no file"
)
def test_a_place_that_takes_no_file_is_told_before_the_build(tmp_path: Path, device: Device) -> None:
    made = device().made
    with pytest.raises(EnvironmentFault, match=r"nothing can be written there.*another --timing-cache"):
        build(sampled(tmp_path / "b"), BuildOptions(timing_cache=Path("/proc/self/t.bin")))
    assert made.builds == 0


def test_timings_that_cannot_be_written_cost_a_note_and_no_engine(
    tmp_path: Path, device: Device, capsys: Capture
) -> None:
    device()
    bundle, shared = sampled(tmp_path / "b"), tmp_path / "full" / "t.bin"
    shared.parent.mkdir()

    def gone(step: Step) -> None:  # the disk is taken away while it builds
        if step.done is not None and shared.parent.is_dir():
            shared.parent.rmdir()

    (built,) = build(bundle, BuildOptions(timing_cache=shared), gone)
    assert built.path.is_file()
    assert "timings were not kept" in built.note
    assert not opened(bundle).close()
    (tmp_path / "b.cache" / "timings-sm8.7-10.3.0.bin").mkdir()
    assert main(["build", str(bundle.path), "--force"]) == 0
    assert "timings were not kept" in capsys.readouterr().err


# The rest of the door


def test_the_largest_batch_of_a_fixed_one_is_refused(tmp_path: Path, device: Device, capsys: Capture) -> None:
    made = device().made
    bundle = sampled(tmp_path / "b")
    assert main(["build", str(bundle.path), "--most-rows", "4"]) == 2
    assert "fixed batch" in capsys.readouterr().err
    assert made.builds == 0


def test_floats_for_an_input_of_grey_levels_are_told(tmp_path: Path, device: Device) -> None:
    device()
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["logits"], keepdims=0),
    ]
    path = onnx_files.save(tmp_path / "m.onnx", nodes, [numpy_helper.from_array(np.array([2, 3]), "axes")])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    levels = np.full((1, 3, 8, 8), 7, np.uint8)
    bundle = tiny_bundles.write(
        tmp_path / "b",
        content=model.SerializeToString(),
        more={"sample.npz": stored(input=levels, output=levels.mean((2, 3)))},
        format="tensorrt",
        golden=GOLDEN,
        spec=Spec("classify", replace(tiny_bundles.IMAGE, values="levels"), tiny_bundles.LABELS),
    )
    build(bundle)
    engine = opened(bundle)
    try:
        np.testing.assert_array_equal(engine.run({"image": levels})["logits"], 7)
        with pytest.raises(EngineError, match=r"takes 'image' as uint8; it was given float32.*manifest"):
            engine.run({"image": levels.astype(np.float32)})
    finally:
        engine.close()


def test_only_the_engine_that_is_taken_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EngineCache(tmp_path / "b")
    keys = [EngineKey("0" * 64, "Orin", "8.7", "10.3", options={"most_rows": n}) for n in range(3)]
    cache.folder.mkdir()
    for age, key in enumerate(keys):
        path = cache.store(key, bytes([age]) * 9, {})
        os.utime(path.with_suffix(".json"), (1000 + age, 1000 + age))
    seen: list[Path] = []
    read = engine_cache._read
    monkeypatch.setattr(engine_cache, "_read", lambda record: seen.append(record) or read(record))  # type: ignore[func-returns-value]
    found = cache.find(keys[0])
    assert found is not None
    assert found.data == bytes([2]) * 9
    assert len(seen) == 1
    found.path.write_bytes(b"cut")
    older = cache.find(keys[0])
    assert older is not None
    assert older.data == bytes([1]) * 9
