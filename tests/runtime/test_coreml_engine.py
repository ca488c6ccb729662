from __future__ import annotations

import builtins
import enum
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevit.errors import BadOutputError, EngineError, EnvironmentFault, MissingDependencyError, UnsupportedError
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import EngineOptions, load_engine, run_checked
from edgevit.runtime.engines import coreml as engine_file
from edgevit.spec import TensorSpec

RGB, BGR = 20, 30
LEVELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(1, 3, 4, 5)


class ComputeUnit(enum.Enum):
    ALL = 1
    CPU_ONLY = 2


class MLModel:
    """Stand in for coremltools' model: the interface that is documented, and a memory of what it was asked."""

    space = RGB
    image = True
    answers: Callable[[Any], dict[str, Any]] = staticmethod(
        lambda given: {"classLabel": "a", "classLabel_probs": {"a": 1.0}, "logits": np.array([[1.0, 2.0]], np.float32)}
    )

    def __init__(self, path: str, *, compute_units: ComputeUnit) -> None:
        if not Path(path).exists():
            raise RuntimeError("Unable to load model: the file does not exist")
        self.units = compute_units
        self.asked: list[dict[str, Any]] = []

    def get_spec(self) -> Any:
        kind = SimpleNamespace(
            WhichOneof=lambda name: "imageType" if self.image else "multiArrayType",
            imageType=SimpleNamespace(colorSpace=self.space),
        )
        return SimpleNamespace(description=SimpleNamespace(input=[SimpleNamespace(name="image", type=kind)]))

    def predict(self, given: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(given)
        return type(self).answers(given)


def graph() -> GraphFile:
    inputs, outputs = (TensorSpec("image", (1, 3, 4, 5), "uint8"),), (TensorSpec("logits", (1, 2)),)
    return GraphFile("model.mlpackage", "main", inputs, outputs, "executed")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "model.mlpackage").mkdir()
    return tmp_path / "model.mlpackage"


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> type[MLModel]:
    class Model(MLModel): ...

    monkeypatch.setattr(engine_file, "_MAC", sys.platform)
    tools = SimpleNamespace(__version__="9.0", ComputeUnit=ComputeUnit, models=SimpleNamespace(MLModel=Model))
    monkeypatch.setitem(sys.modules, "coremltools", tools)
    return Model


def test_core_ml_gets_the_picture_that_the_levels_were(mac: type[MLModel], package: Path) -> None:
    engine = load_engine("coreml", package, graph(), EngineOptions())
    assert isinstance(engine, engine_file.CoremlEngine)
    answer = run_checked(engine, graph(), {"image": LEVELS})
    assert answer["logits"].tolist() == [[1.0, 2.0]]
    assert list(answer) == ["logits"]
    (asked,) = engine._model.asked
    assert isinstance(asked["image"], Image.Image)
    assert (asked["image"].mode, asked["image"].size) == ("RGB", (5, 4))
    np.testing.assert_array_equal(np.asarray(asked["image"]), LEVELS[0].transpose(1, 2, 0))
    assert "compute units ALL" in engine.description


def test_a_model_of_bgr_gets_a_picture_of_the_same_colours(
    mac: type[MLModel], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mac, "space", BGR)
    engine = engine_file.load(package, graph(), EngineOptions())
    engine.run({"image": LEVELS})
    np.testing.assert_array_equal(np.asarray(engine._model.asked[0]["image"]), LEVELS[0, ::-1].transpose(1, 2, 0))


def test_float_levels_are_rounded_into_a_picture(mac: type[MLModel], package: Path) -> None:
    engine = engine_file.load(package, graph(), EngineOptions())
    engine.run({"image": LEVELS.astype(np.float32) * 5 - 0.4})
    picture = np.asarray(engine._model.asked[0]["image"]).astype(int)
    np.testing.assert_array_equal(picture, np.clip(LEVELS[0].transpose(1, 2, 0).astype(int) * 5, 0, 255))


def test_a_tensor_stays_a_tensor(mac: type[MLModel], package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac, "image", False)
    engine = engine_file.load(package, graph(), EngineOptions())
    engine.run({"image": LEVELS})
    assert engine._model.asked[0]["image"] is LEVELS


def test_core_ml_may_choose_among_all_units(mac: type[MLModel], package: Path) -> None:
    assert engine_file.load(package, graph(), EngineOptions())._model.units is ComputeUnit.ALL


def test_what_core_ml_raises_is_one_sentence(
    mac: type[MLModel], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match=r"cannot open absent.mlpackage: Unable to load"):
        engine_file.load(package.with_name("absent.mlpackage"), graph(), EngineOptions())

    def fail(given: Any) -> dict[str, Any]:
        raise RuntimeError("Error computing NN outputs")

    monkeypatch.setattr(mac, "answers", staticmethod(fail))
    engine = engine_file.load(package, graph(), EngineOptions())
    with pytest.raises(EngineError, match="could not run the model: Error computing"):
        engine.run({"image": LEVELS})
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.run({"image": LEVELS})


def test_an_answer_without_the_promised_output_is_no_result(
    mac: type[MLModel], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mac, "answers", staticmethod(lambda given: {"classLabel": "a"}))
    engine = engine_file.load(package, graph(), EngineOptions())
    with pytest.raises(BadOutputError, match="no output 'logits'"):
        run_checked(engine, graph(), {"image": LEVELS})


def test_elsewhere_the_proof_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_file, "_MAC", "another system")
    with pytest.raises(EnvironmentFault, match="edgevit verify"):
        load_engine("coreml", package, graph(), EngineOptions())


def test_the_package_chooses_its_precision(mac: type[MLModel], package: Path) -> None:
    with pytest.raises(UnsupportedError, match="--precision fp16"):
        engine_file.load(package, graph(), EngineOptions(precision="fp16"))


def test_an_older_coremltools_is_refused(mac: type[MLModel], package: Path) -> None:
    with pytest.raises(EnvironmentFault, match="needs coremltools 99"):
        engine_file.load(package, graph(), EngineOptions(minimum="99"))


@pytest.mark.parametrize("package_name", ["coremltools", "PIL"])
def test_what_is_missing_is_told_with_its_pip_line(
    mac: type[MLModel], package: Path, package_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package_name:
            raise ImportError(f"No module named '{name}'", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=rf"'{package_name}'.*pip install 'edgevit\[coreml\]'"):
        engine_file.load(package, graph(), EngineOptions())
