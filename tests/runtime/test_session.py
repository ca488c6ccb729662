from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_files
import pytest
import tiny_bundles
from onnx import helper

import edgevit
from edgevit.bundle import Bundle
from edgevit.errors import (
    BadOutputError,
    EngineError,
    EnvironmentFault,
    InputError,
    UnknownNameError,
    UnsafePathError,
    UnsupportedError,
    UsageError,
)
from edgevit.runtime import Classification, Frame, load
from edgevit.runtime.tasks.classify import softmax


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=4).read_bytes()
    return tiny_bundles.write(tmp_path / "tiny", content=content)


def green(height: int = 8, width: int = 8) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 1] = 255
    return picture


def test_a_picture_goes_in_and_names_come_out(bundle: Bundle) -> None:
    with load(bundle) as session:
        result = session(green(), color="rgb")
    assert isinstance(result, Classification)
    assert result.name(result.top1) == "square"
    assert result.scores.sum() == pytest.approx(1)
    assert result.top5[0] == 1
    assert set(result.speed) == {"preprocess", "inference", "postprocess"}
    assert all(value >= 0 for value in result.speed.values())
    told = result.to_dict()
    assert told["top"][0]["name"] == "square"
    assert "untrained" not in told


def test_colour_is_never_guessed(bundle: Bundle) -> None:
    with load(bundle) as session:
        with pytest.raises(InputError, match="color='rgb'"):
            session(green())
        red = green()[..., [1, 0, 2]]
        assert session(red, color="rgb").to_dict()["top"][0]["name"] == "circle"
        assert session(red, color="bgr").to_dict()["top"][0]["name"] == "triangle"


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_what_is_no_picture_is_told(bundle: Bundle, wrong: object) -> None:
    with load(bundle) as session, pytest.raises(InputError):
        session(wrong, color="rgb")


def test_every_pixel_format_is_understood(bundle: Bundle) -> None:
    grey = np.full((12, 8), 200, np.uint8)
    with load(bundle) as session:
        for pixel_format, data in (
            ("gray", grey),
            ("i420", grey),
            ("nv12", grey),
            ("yuyv", np.full((8, 8, 2), 128, np.uint8)),
        ):
            frame = Frame(data, pixel_format, 0)  # type: ignore[arg-type]
            assert session(frame).frame is frame


def test_untrained_weights_say_so_in_every_result(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    with load(tiny_bundles.write(tmp_path / "random", content=content, trained=False)) as session:
        result = session(green(), color="rgb")
        assert "UNTRAINED" in repr(session)
    assert isinstance(result, Classification)
    assert result.to_dict()["untrained"] is True
    assert "UNTRAINED" in str(result)


def test_a_stream_answers_in_order_and_closes_its_source(bundle: Bundle) -> None:
    class Source:
        live, closed = False, False

        def __iter__(self):  # type: ignore[no-untyped-def]
            return (Frame(green(), "rgb", 0, index) for index in range(3))

        def close(self) -> None:
            self.closed = True

    source = Source()
    with load(bundle) as session:
        assert [r.frame.index for r in session.stream(source)] == [0, 1, 2]
    assert source.closed


def test_a_closed_session_says_so(bundle: Bundle) -> None:
    session = load(bundle)
    session.warmup()
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session(green(), color="rgb")


def test_threads_take_turns(bundle: Bundle) -> None:
    answers: list[int] = []
    with load(bundle, threads=1) as session:

        def ask() -> None:
            for _ in range(20):
                result = session(green(), color="rgb")
                assert isinstance(result, Classification)
                answers.append(result.top1)

        workers = [threading.Thread(target=ask) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert answers == [1] * 80


def test_nan_never_becomes_an_answer(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx", scale=float("nan")).read_bytes()
    with load(tiny_bundles.write(tmp_path / "nan", content=content)) as session, pytest.raises(BadOutputError):
        session(green(), color="rgb")


def test_the_null_engine_runs_any_bundle(tmp_path: Path) -> None:
    with load(tiny_bundles.write(tmp_path / "bytes"), engine="null") as session:
        assert session(green(), color="rgb").to_dict()["top"]


def test_an_unknown_engine_is_answered_with_the_nearest(bundle: Bundle) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean openvino"):
        load(bundle, engine="openvin")


def test_the_face_loads_what_ships_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    with edgevit.load("shvit_shapes", task="classify") as session:
        assert session.manifest.model == "shvit_shapes"
    (tmp_path / "shvit_shapes").mkdir()  # what lies in the folder goes first
    with pytest.raises(edgevit.EdgevitError, match="no manifest"):
        edgevit.load("shvit_shapes")


def test_the_face_loads_by_path(bundle: Bundle) -> None:
    with edgevit.load(str(bundle.path)) as session:
        assert session.labels == tiny_bundles.LABELS


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([1e4, -1e4, 1e4], np.float32)) == pytest.approx([0.5, 0, 0.5])


def test_supervision_takes_the_result(bundle: Bundle) -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    with load(bundle) as session:
        result = session(green(), color="rgb")
    assert isinstance(result, Classification)
    best, _ = result.to_supervision().get_top_k(1)
    assert best[0] == result.top1


@pytest.mark.parametrize("operations", [{"preprocess": "image/2"}, {"postprocess": "none/9"}, {"crop": "hit/1"}])
def test_arithmetic_that_nobody_knows_is_not_guessed(tmp_path: Path, operations: dict[str, str]) -> None:
    (step,) = operations.items()
    bundle = tiny_bundles.write(tmp_path / "tiny", operations=operations)
    with pytest.raises(UnsupportedError, match=f"'{step[0]}: {step[1]}', which this edgevit does not know"):
        load(bundle, engine="null")


def test_an_engine_that_is_too_old_does_not_run_the_bundle(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    engine = {"name": "onnxruntime", "minimum": "99"}
    with pytest.raises(EnvironmentFault, match="99 or newer"):
        load(tiny_bundles.write(tmp_path / "tiny", content=content, engine=engine))


def test_a_task_that_nobody_knows_is_told(tmp_path: Path) -> None:
    spec = replace(tiny_bundles.manifest().spec, task="gaze")
    with pytest.raises(UnknownNameError, match="no task named 'gaze'"):
        load(tiny_bundles.write(tmp_path / "tiny", spec=spec), engine="null")


@pytest.mark.parametrize("engine", ["litert", "openvino"])
def test_an_engine_of_another_format_is_answered_with_those_that_fit(bundle: Bundle, engine: str) -> None:
    with pytest.raises(UnsupportedError, match="ONNX bundles run with onnx, null"):
        load(bundle, engine=engine)


def test_a_bundle_cannot_bring_a_file_to_an_engine_that_does_not_guard_it(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    with pytest.raises(UnsupportedError, match=r"runs .xml files; model.onnx is none"):
        load(tiny_bundles.write(tmp_path / "tiny", content=content, format="openvino"))


def test_weights_beside_the_model_are_opened_if_they_are_listed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    content = onnx_files.save(tmp_path / "s.onnx", nodes, [onnx_files.outside("sub/w.bin")]).read_bytes()
    eye = np.eye(3, dtype=np.float32).tobytes()
    whole = tiny_bundles.write(tmp_path / "tiny", content=content, more={"sub/w.bin": eye})
    with load(whole) as session:
        assert session(green(), color="rgb").to_dict()["top"][0]["name"] == "square"
    files = {name: record for name, record in whole.manifest.files.items() if name != "sub/w.bin"}
    with pytest.raises(UnsafePathError, match="not among the files"):
        load(Bundle(whole.path, replace(whole.manifest, files=files)))


def test_an_empty_batch_and_no_bundle_are_told(bundle: Bundle) -> None:
    with load(bundle) as session, pytest.raises(InputError, match="nothing to run"):
        session.infer(np.zeros((0, 3, 8, 8), np.float32))
    with pytest.raises(UsageError, match="by the path"):
        load(None)  # type: ignore[call-overload]
