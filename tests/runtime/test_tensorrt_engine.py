"""The TensorRT engine and its builder on stand-ins of the documented interfaces: support/fake_{tensorrt,cudart}."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files
import pytest
import tiny_bundles
from onnx import helper
from tensorrt_here import COMPILER, Device, opened, sealed

from edgevit.bundle import Bundle
from edgevit.cli import main
from edgevit.errors import EdgevitError, EngineError, EnvironmentFault, UnsupportedError
from edgevit.formats import FP32_NODE
from edgevit.manifest import GraphFile
from edgevit.progress import Step
from edgevit.runtime.engine_cache import EngineCache
from edgevit.runtime.engines import EngineOptions, load_engine, run_batch
from edgevit.runtime.engines.cudart import open_cudart
from edgevit.runtime.engines.tensorrt_build import BuildOptions, Built, build
from edgevit.spec import TensorSpec

pytestmark = pytest.mark.skipif(COMPILER is None, reason="the stand-in of libcudart is C")

Capture = pytest.CaptureFixture[str]


def renamed(bundle: Path, name: str) -> None:
    """Give a bundle's graph a name that the stand-in knows as a fault, before it is sealed."""
    model = onnx.load(bundle)
    model.graph.name = name
    onnx.save(model, bundle)


def answers(bundle: Bundle, rows: int = 2) -> None:
    """Open a bundle's engine, run some rows in turns, and compare with what the net is."""
    engine = opened(bundle)
    try:
        for seed in range(2):
            batch = np.random.default_rng(seed).random((rows, 3, 8, 8), np.float32)
            got = run_batch(engine, bundle.manifest.graphs["main"], batch)
            np.testing.assert_allclose(got, batch.mean((2, 3)), rtol=1e-5)
    finally:
        engine.close()


def files(bundle: Bundle) -> list[str]:
    return sorted(p.name for p in EngineCache(bundle.path).folder.iterdir())


@pytest.mark.parametrize("version", ["8.5.2", "8.6.1", "10.3.0", "11.3.0"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_what_is_built_runs_and_answers(tmp_path: Path, device: Device, version: str, precision: str) -> None:
    device(version)
    bundle = sealed(tmp_path / "b", precision)
    (built,) = build(bundle)
    assert built.path.parent == tmp_path / "b.cache"
    assert not built.reused
    answers(bundle, rows=3)
    engine = opened(bundle)
    assert engine.description == f"TensorRT {version}, Orin, {precision}"
    engine.close()


def test_the_network_keeps_the_types_of_the_file_where_tensorrt_can(tmp_path: Path, device: Device) -> None:
    made = device("10.3.0").made
    build(sealed(tmp_path / "b"))
    assert made.network_flags == 1 << 1  # STRONGLY_TYPED
    assert (made.flags, made.cleared) == (set(), {"TF32"})
    assert made.workspace is None


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", set()), ("fp16", {"FP16", "OBEY_PRECISION_CONSTRAINTS"}), ("int8", {"INT8"})]
)
def test_tensorrt_8_is_told_by_flags(tmp_path: Path, device: Device, precision: str, flags: set[str]) -> None:
    made = device("8.6.1").made
    build(sealed(tmp_path / "b", precision), BuildOptions(workspace_mb=512))
    assert made.network_flags == 1 << 0  # EXPLICIT_BATCH
    assert made.flags == flags
    assert made.workspace == 512 << 20


def test_tensorrt_8_gives_the_islands_float32_and_no_other_layer(tmp_path: Path, device: Device) -> None:
    trt = device("8.6.1")
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"], f"{FP32_NODE}Shape"),
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], f"{FP32_NODE}ReduceMean", keepdims=0),
        helper.make_node("Relu", ["mean"], ["logits"], "Relu"),
    ]
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    model = onnx_files.save(tmp_path / "m.onnx", nodes, [axes])
    build(tiny_bundles.write(tmp_path / "b", content=model.read_bytes(), format="tensorrt", precision="fp16"))
    shape, mean, relu = trt.made.layers
    assert (mean.precision, mean.types) == (trt.float32, {0: trt.float32})
    assert (shape.precision, shape.types) == (None, {})  # whole numbers
    assert (relu.precision, relu.types) == (None, {})


def test_a_batch_that_varies_has_a_profile_and_longer_ones_go_through_in_turns(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sealed(tmp_path / "b", batch="n")
    build(bundle, BuildOptions(most_rows=4))
    assert made.shapes == {"image": ((1, 3, 8, 8), (1, 3, 8, 8), (4, 3, 8, 8))}
    for rows in (1, 4, 9):
        answers(bundle, rows=rows)


def test_an_engine_is_built_once(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sealed(tmp_path / "b")
    first, again = build(bundle)[0], build(bundle)[0]
    assert (first.reused, again.reused, made.builds) == (False, True, 1)
    assert first.path == again.path
    assert build(bundle, BuildOptions(force=True))[0].reused is False
    assert made.builds == 2
    assert bundle.path.name == "b"
    assert {p.name for p in bundle.path.iterdir()} == {"manifest.json", "model.onnx", "golden.npz", "reference.npz"}


def test_another_gpu_version_or_option_is_another_engine(tmp_path: Path, device: Device) -> None:
    bundle, seen = sealed(tmp_path / "b"), set()
    for version, gpu, compute in (("10.3.0", "Orin", (8, 7)), ("10.3.0", "Thor", (11, 0)), ("10.7.0", "Orin", (8, 7))):
        device(version, gpu, compute)
        built = build(bundle)[0]
        assert not built.reused
        seen.add(built.path)
        answers(bundle)
    seen.add(build(bundle, BuildOptions(workspace_mb=64))[0].path)
    assert len(seen) == 4


def test_an_engine_of_elsewhere_is_not_taken(tmp_path: Path, device: Device) -> None:
    bundle = sealed(tmp_path / "b")
    device(gpu="Xavier", compute=(7, 2))
    build(bundle)
    device()
    with pytest.raises(EnvironmentFault, match=r"no engine for Orin.*is for Xavier and TensorRT 10\.3\.0"):
        opened(bundle)


def test_without_an_engine_it_says_what_to_type(tmp_path: Path, device: Device) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    with pytest.raises(
        EnvironmentFault, match=rf"no engine for Orin and TensorRT 10\.3\.0 yet\. Type: .* {bundle.path}"
    ):
        opened(bundle)
    with pytest.raises(UnsupportedError, match=r"in the types that stand in the bundle's file.*edgevit export"):
        opened(bundle, precision="fp16")


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    record = path.with_suffix(".json")
    if how == "flipped":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "gone":
        path.unlink()
    elif how == "no record":
        record.unlink()
    elif how == "record is no JSON":
        record.write_text("{")
    else:
        record.write_text('["a", "list"]')


@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "no record", "record is no JSON", "record of another kind"])
def test_a_damaged_engine_is_never_run_and_built_anew(tmp_path: Path, device: Device, how: str) -> None:
    made = device().made
    bundle = sealed(tmp_path / "b")
    damage(build(bundle)[0].path, how)
    with pytest.raises(EnvironmentFault, match="edgevit build"):
        opened(bundle)
    assert not build(bundle)[0].reused
    assert made.builds == 2
    answers(bundle)


def test_an_engine_under_another_bundles_name_is_not_taken(tmp_path: Path, device: Device) -> None:
    device()
    one, other = sealed(tmp_path / "one"), sealed(tmp_path / "other", scale=2.0)
    build(one)
    shutil.copytree(tmp_path / "one.cache", tmp_path / "other.cache")
    with pytest.raises(EnvironmentFault, match="built of another file"):
        opened(other)


def test_a_record_that_lies_about_the_whole_key_is_built_over(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sealed(tmp_path / "b")
    record = build(bundle)[0].path.with_suffix(".json")
    told = json.loads(record.read_text())
    told["key"]["precision"] = "int8"
    record.write_text(json.dumps(told))
    assert not build(bundle)[0].reused
    assert made.builds == 2


def test_the_newest_engine_of_several_is_run(tmp_path: Path, device: Device) -> None:
    device()
    bundle = sealed(tmp_path / "b", batch="n")
    build(bundle, BuildOptions(most_rows=4))
    build(bundle, BuildOptions(most_rows=2))
    engine = opened(bundle)
    assert engine._most == 2
    engine.close()


def test_two_builds_at_once_take_turns_and_the_second_finds_the_engine(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle = sealed(tmp_path / "b")
    cache, results, waited = EngineCache(bundle.path), list[Built](), threading.Event()

    def second() -> None:
        results.extend(build(bundle, progress=lambda step: waited.set() if step.name.startswith("wait") else None))

    thread = threading.Thread(target=second)
    with cache.building():
        thread.start()
        assert waited.wait(30)
        assert made.builds == 0
        (cache.folder / ".left.engine.over.part").write_bytes(b"of a build that was killed")
    thread.join(30)
    assert made.builds == 1
    assert not results[0].reused
    assert build(bundle)[0].reused
    with cache.building():
        pass
    assert not [name for name in files(bundle) if name.endswith(".part")]


def test_timings_are_kept_and_used_again(tmp_path: Path, device: Device) -> None:
    made = device().made
    bundle, shared = sealed(tmp_path / "b"), tmp_path / "timings.bin"
    build(bundle)
    assert "timings-sm8.7-10.3.0.bin" in files(bundle)
    for _ in range(2):
        build(bundle, BuildOptions(timing_cache=shared, force=True))
    assert made.timings == b"timed;"
    assert shared.read_bytes() == b"timed;timed;"


@pytest.mark.parametrize("foreign", [b"broken", b"other machine's"])
def test_timings_of_elsewhere_are_left_out(tmp_path: Path, device: Device, foreign: bytes) -> None:
    made = device().made
    (tmp_path / "t.bin").write_bytes(foreign)
    build(sealed(tmp_path / "b"), BuildOptions(timing_cache=tmp_path / "t.bin"))
    assert made.timings == b""
    assert (tmp_path / "t.bin").read_bytes() == b"timed;"


def test_the_build_tells_how_far_it_is(tmp_path: Path, device: Device) -> None:
    device()
    steps: list[Step] = []
    build(sealed(tmp_path / "b"), progress=steps.append)
    counted = [(s.detail, s.done, s.total) for s in steps if s.done is not None]
    assert counted == [("Building Engine", 0, 2), ("Building Engine", 1, 2), ("Building Engine", 2, 2)]
    assert steps[-1].seconds is not None


def test_an_interrupt_ends_the_build_and_leaves_nothing(tmp_path: Path, device: Device) -> None:
    device()
    bundle = sealed(tmp_path / "b")

    def interrupted(step: Step) -> None:
        if step.done is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(bundle, progress=interrupted)
    assert files(bundle) == ["lock"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("refused", r"cannot read model\.onnx: In node 3 \(importFoo\).*--device"),
        ("too large", r"could not build model\.onnx: Could not find any implementation.*--workspace"),
    ],
)
def test_what_tensorrt_says_of_a_failed_build_is_told(tmp_path: Path, device: Device, name: str, words: str) -> None:
    device()
    model = onnx_files.mean_classifier(tmp_path / "m.onnx")
    renamed(model, name)
    bundle = tiny_bundles.write(tmp_path / "b", content=model.read_bytes(), format="tensorrt", precision="fp16")
    with pytest.raises(EngineError, match=words):
        build(bundle)
    assert files(bundle) == ["lock"]


def test_foreign_operators_never_reach_the_parser(tmp_path: Path, device: Device) -> None:
    made = device().made
    node = helper.make_node("Mean", ["image"], ["logits"], domain="somebody.else")
    model = onnx_files.save(tmp_path / "m.onnx", [node], [], domains=("somebody.else",))
    bundle = tiny_bundles.write(tmp_path / "b", content=model.read_bytes(), format="tensorrt", precision="fp16")
    with pytest.raises(EdgevitError, match="foreign library"):
        build(bundle)
    assert made.builds == 0


def test_an_engine_that_tensorrt_refuses_is_told_with_the_way_out(tmp_path: Path, device: Device) -> None:
    trt = device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    trt.refuses = True  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=r"refuses the engine of b: Serialization assertion.*--force"):
        opened(bundle)


def test_no_memory_for_the_context_is_told(tmp_path: Path, device: Device) -> None:
    trt = device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    trt.no_context = True  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match="cannot prepare the engine"):
        opened(bundle)


@pytest.mark.parametrize("call", ["cudaStreamCreateWithFlags", "cudaHostAlloc", "cudaMalloc"])
def test_what_cuda_cannot_give_is_told_and_nothing_leaks(tmp_path: Path, device: Device, cuda: Any, call: str) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    cuda.fake_break(call.encode(), 2)
    with pytest.raises(EngineError, match=r"CUDA could not .*out of memory \(error 2\)"):
        opened(bundle)


@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaStreamSynchronize"])
def test_what_breaks_while_it_runs_is_told(tmp_path: Path, device: Device, cuda: Any, call: str) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    engine = opened(bundle)
    cuda.fake_break(call.encode(), 700)
    with pytest.raises(EngineError, match=r"CUDA could not (copy the input|run the model): some error \(error 700\)"):
        engine.run({"image": np.zeros((1, 3, 8, 8), np.float32)})
    engine.close()


def test_closing_twice_is_fine_and_a_closed_engine_says_so(tmp_path: Path, device: Device, cuda: Any) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    engine = opened(bundle)
    assert cuda.fake_live() == 5  # a stream, and both sides of an input and an output
    engine.close()
    engine.close()
    assert cuda.fake_live() == 0
    with pytest.raises(EngineError, match="closed"):
        engine.run({"image": np.zeros((1, 3, 8, 8), np.float32)})


def test_a_session_runs_it_from_another_thread(tmp_path: Path, device: Device) -> None:
    import edgevit

    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    seen: list[Any] = []
    with edgevit.load(bundle) as session:
        thread = threading.Thread(target=lambda: seen.append(session(picture, color="rgb")))
        thread.start()
        thread.join(30)
        np.testing.assert_array_equal(seen[0].scores, session(picture, color="rgb").scores)


def test_outputs_outlive_the_next_run(tmp_path: Path, device: Device) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    engine = opened(bundle)
    first = engine.run({"image": np.ones((1, 3, 8, 8), np.float32)})["logits"]
    engine.run({"image": np.zeros((1, 3, 8, 8), np.float32)})
    engine.close()
    np.testing.assert_allclose(first, 1.0)


def test_an_engine_without_the_promised_tensor_is_told(tmp_path: Path, device: Device) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    build(bundle)
    graph = GraphFile("model.onnx", "main", (TensorSpec("picture", (1, 3, 8, 8)),), (), "graph-only")
    with pytest.raises(EngineError, match="no tensor 'picture'; it has image, logits"):
        load_engine("tensorrt", bundle.graph_file(), graph, EngineOptions())


def test_without_tensorrt_it_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    bundle = sealed(tmp_path / "b")
    with pytest.raises(EnvironmentFault, match=r"on a Jetson JetPack brings it.*sudo apt install nvidia-jetpack"):
        build(bundle)
    assert main(["build", str(bundle.path)]) == 3
    assert "JetPack" in capsys.readouterr().err


def test_a_tensorrt_that_is_too_old_is_told_of_trtexec(tmp_path: Path, device: Device) -> None:
    device("8.2.1")
    with pytest.raises(EnvironmentFault, match=r"8\.2\.1 is older than 8\.5.*newer JetPack.*trtexec.*manifest\.json"):
        build(sealed(tmp_path / "b"))


def test_a_bundle_for_a_newer_tensorrt_is_told(tmp_path: Path, device: Device) -> None:
    device("8.6.1")
    bundle = sealed(tmp_path / "b")
    build(bundle)
    with pytest.raises(EnvironmentFault, match=r"needs TensorRT 10\.0 or newer; 8\.6\.1 is installed.*newer JetPack"):
        opened(bundle, minimum="10.0")


def test_a_file_for_a_newer_parser_is_not_built(tmp_path: Path, device: Device) -> None:
    made = device("8.6.1").made
    told = {"passed": True, "file": {"tensorrt": "10.0 or newer"}}
    model = onnx_files.mean_classifier(tmp_path / "m.onnx")
    bundle = tiny_bundles.write(tmp_path / "b", content=model.read_bytes(), format="tensorrt", verification=told)
    with pytest.raises(
        UnsupportedError, match=r"TensorRT 10\.0 or newer, and 8\.6\.1 is here.*newer JetPack.*\"8\.6\".*--device"
    ):
        build(bundle)
    assert made.builds == 0


def test_no_gpu_and_no_libcudart_are_told(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda.fake_gpu(0, b"", 0, 0)
    with pytest.raises(EnvironmentFault, match="shows no GPU here: none was found"):
        open_cudart().gpu()
    cuda.fake_break(b"cudaGetDeviceCount", 100)
    with pytest.raises(EnvironmentFault, match="no CUDA-capable device is detected"):
        open_cudart().gpu()
    monkeypatch.setattr("edgevit.runtime.engines.cudart._NAMES", ("libthere-is-none.so",))
    monkeypatch.setattr("edgevit.runtime.engines.cudart._WHEELS", ())
    with pytest.raises(EnvironmentFault, match=r"CUDA runtime \(libcudart\)"):
        open_cudart()


def test_a_read_only_place_is_told(tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    (tmp_path / "b.cache").write_bytes(b"a file is in the way")
    with pytest.raises(EnvironmentFault, match=r"b\.cache.*cannot be written.*Copy the bundle"):
        build(bundle)


def test_the_verb_builds_and_finds(tmp_path: Path, device: Device, capsys: Capture) -> None:
    device()
    bundle = sealed(tmp_path / "b")
    assert main(["build", str(bundle.path), "--workspace", "256"]) == 0
    assert "for Orin and TensorRT 10.3.0, built in 0 s" in capsys.readouterr().out
    assert main(["build", str(bundle.path), "--workspace", "256", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["built"]
    assert (one["reused"], one["gpu"], one["tensorrt"]) == (True, "Orin", "10.3.0")
    assert Path(one["path"]).is_file()


def test_other_formats_need_no_building(tmp_path: Path, capsys: Capture) -> None:
    bundle = tiny_bundles.write(tmp_path / "plain")
    assert main(["build", str(bundle.path)]) == 0
    assert capsys.readouterr().out == "plain is ONNX: its engine opens it as it is, so there is nothing to build.\n"
    assert main(["build", str(bundle.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["built"] == []
    with pytest.raises(UnsupportedError, match="only tensorrt bundles are built"):
        build(bundle)
