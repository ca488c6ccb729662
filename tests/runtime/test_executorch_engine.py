"""ExecuTorch's engine and the reader of its files, on small files that were lowered here."""

from __future__ import annotations

import builtins
import contextlib
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import executorch_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevit.errors import (
    BundleError,
    EngineError,
    EnvironmentFault,
    MissingDependencyError,
    UnsupportedError,
)
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import Engine, EngineOptions, load_engine, run_checked
from edgevit.runtime.engines.executorch_file import PLAIN, delegation, read_contents

pytest.importorskip("executorch", reason="ExecuTorch is not installed")

GRAPH = executorch_files.GRAPH
IMAGE = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return executorch_files.two_ways(tmp_path_factory.mktemp("pte") / "model.pte")


def opened(path: Path, threads: int | None = 1, graph: GraphFile = GRAPH) -> Engine:
    return load_engine("executorch", path, graph, EngineOptions(threads=threads))


def test_it_answers_what_the_net_says_by_name_and_in_order(model: Path) -> None:
    engine = opened(model)
    answer = run_checked(engine, GRAPH, {"image": IMAGE})
    assert list(answer) == ["twice", "mean"]
    np.testing.assert_allclose(answer["twice"], 2 * IMAGE, rtol=1e-6)
    np.testing.assert_allclose(answer["mean"], IMAGE.mean((2, 3)), rtol=1e-5)
    assert engine.description.startswith("ExecuTorch ")
    assert engine.description.endswith("1 thread")
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({"image": IMAGE})


def test_an_answer_is_the_callers_own(model: Path) -> None:
    engine = opened(model)
    first = engine.run({"image": IMAGE})["twice"]
    kept = first.copy()
    engine.run({"image": IMAGE + 1})
    np.testing.assert_array_equal(first, kept)
    engine.close()
    np.testing.assert_array_equal(first, kept)


def test_inputs_may_lie_in_memory_as_they_like(model: Path) -> None:
    engine = opened(model)
    strided = np.asfortranarray(IMAGE)
    frozen = IMAGE.copy()
    frozen.flags.writeable = False
    for value in (strided, frozen, IMAGE[:, :, ::-1][:, :, ::-1], IMAGE.astype(np.float64)):
        np.testing.assert_allclose(engine.run({"image": value})["twice"], 2 * IMAGE, rtol=1e-6)
    engine.close()


def test_a_shape_the_file_does_not_take_is_one_sentence(model: Path) -> None:
    engine = opened(model)
    with pytest.raises(EngineError, match="ExecuTorch could not run the model"):
        engine.run({"image": np.ones((1, 3, 9, 9), np.float32)})
    np.testing.assert_allclose(engine.run({"image": IMAGE})["twice"], 2 * IMAGE, rtol=1e-6)
    engine.close()


def test_the_pool_belongs_to_the_process_and_the_second_file_is_told_so(model: Path) -> None:
    first = opened(model, threads=2)
    second = opened(model, threads=1)
    assert first.description.endswith("2 threads")
    assert second.description.endswith("2 threads, as the file opened before it")
    for engine in (first, second, first):
        np.testing.assert_allclose(engine.run({"image": IMAGE})["twice"], 2 * IMAGE, rtol=1e-6)
    first.close()
    second.close()
    third = opened(model, threads=1)
    assert third.description.endswith("1 thread")
    third.close()


def test_a_forgotten_engine_holds_the_pool_no_longer(model: Path) -> None:
    engine = opened(model, threads=2)
    engine.run({"image": IMAGE})
    del engine
    other = opened(model, threads=1)
    assert other.description.endswith("1 thread")
    other.close()


CHANGES = """
import sys, numpy as np
sys.path[:0] = {path!r}
from pathlib import Path
import executorch_files
from edgevit.runtime.engines import EngineOptions, load_engine
image, kept = np.ones((1, 3, 8, 8), np.float32), []
for turn in range(30):
    engine = load_engine("executorch", Path({model!r}), executorch_files.GRAPH, EngineOptions(threads=1 + turn % 3))
    for held in (engine, *kept):
        assert (held.run({{"image": image}})["twice"] == 2).all()
    kept.append(engine)
    if turn % 4 == 3:
        for held in kept:
            held.close()
        kept = []
print("sound")
"""


@pytest.mark.slow
def test_changing_the_number_of_threads_does_not_corrupt_the_heap(model: Path) -> None:
    """In a process of its own: what ExecuTorch does by itself there ends in an abort, not in an exception."""
    code = CHANGES.format(path=sys.path, model=str(model))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "sound"
    assert "threadpool" not in done.stderr


def test_what_a_file_calls_is_read_without_running_it(model: Path) -> None:
    contents = read_contents(model)
    assert set(contents.delegates) == {"XnnpackBackend"}
    assert contents.plain()["aten::cumsum.out"] == 1
    found = {(name, where): count for name, where, count in delegation(model)}
    assert found["aten::cumsum.out", PLAIN] == 1
    assert found["GlobalAvgPooling2d", "XnnpackBackend"] == 1


def test_a_delegate_of_another_machine_is_refused_with_the_way_out(model: Path, tmp_path: Path) -> None:
    for foreign, reason in (
        (b"VulkanBackend", "is for Vulkan, on Android phones; .* --backend xnnpack"),
        (b"QnnBackend", "calls the delegate 'QnnBackend', which edgevit does not open"),
    ):
        path, old = tmp_path / "model.pte", struct.pack("<I", 14) + b"XnnpackBackend"
        assert old in model.read_bytes()
        path.write_bytes(model.read_bytes().replace(old, struct.pack("<I", len(foreign)) + foreign.ljust(14, b"\0")))
        with pytest.raises(UnsupportedError, match=reason):
            opened(path)


def test_an_operator_that_the_runtime_lacks_is_named(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(model.read_bytes().replace(b"aten::cumsum", b"aten::cumsun"))
    with pytest.raises(UnsupportedError, match=r"needs the operator aten::cumsun\.out"):
        opened(path)


def test_another_number_of_tensors_than_promised_is_refused(model: Path) -> None:
    with pytest.raises(EngineError, match="has 2 outputs where the bundle promises 1"):
        opened(model, graph=GraphFile("model.pte", "main", GRAPH.inputs, GRAPH.outputs[:1], "executed"))


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"\x10\0\0\0ET12" + b"\xff" * 56, b"PK\x03\x04 not it"])
def test_what_is_no_executorch_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pte").write_bytes(content)
    with pytest.raises(BundleError, match=r"m.pte is not a readable ExecuTorch file"):
        opened(tmp_path / "m.pte")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_never_followed_astray(model: Path, tmp_path: Path, data: Any) -> None:
    whole = bytearray(model.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(whole), 1500) - 4))
        whole[at : at + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
    path = tmp_path / "damaged.pte"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(BundleError):  # and nothing else: no struct.error, no IndexError, no endless walk
        assert sum(read_contents(path).operators.values()) < len(whole)


def test_a_cut_file_is_never_opened(model: Path, tmp_path: Path) -> None:
    whole = model.read_bytes()
    for keep in (len(whole) // 2, 200):
        (tmp_path / "cut.pte").write_bytes(whole[:keep])
        with pytest.raises((BundleError, EngineError), match=r"cut\.pte"):
            opened(tmp_path / "cut.pte")


def test_precision_and_version_are_checked_first(model: Path) -> None:
    with pytest.raises(UnsupportedError, match="ExecuTorch cannot compute in 'bf16'; it can in fp32"):
        load_engine("executorch", model, GRAPH, EngineOptions(precision="bf16"))
    with pytest.raises(EnvironmentFault, match="needs ExecuTorch 99"):
        load_engine("executorch", model, GRAPH, EngineOptions(minimum="99"))


def test_without_the_package_the_pip_line_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "executorch":
            raise ImportError("No module named 'executorch'", name="executorch")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r"edgevit\[executorch\]"):
        opened(model)
