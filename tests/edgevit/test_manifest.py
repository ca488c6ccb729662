from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundles
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.bundle import Bundle, open_bundle, summary
from edgevit.errors import BundleError, EdgevitError, SchemaError, SpecError
from edgevit.manifest import parse
from edgevit.runtime import load


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return tiny_bundles.write(tmp_path / "tiny").path


TENSOR = ("graphs", "main", "inputs", 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("files", "model.onnx", "bytes"), 1800.0),
        (("files", "model.onnx", "bytes"), True),
        (("files", "model.onnx", "bytes"), -1),
        (("files", "model.onnx", "sha256"), "A" * 64),
        ((*TENSOR, "shape"), [1.0, 3, 8, 8]),
        ((*TENSOR, "shape"), [0, 3, 8, 8]),
        ((*TENSOR, "shape"), [-5, 3, 8, 8]),
        ((*TENSOR, "shape"), []),
        ((*TENSOR, "shape"), [10**10, 3, 8, 8]),
        ((*TENSOR, "shape"), [1025, 3, 8, 8]),
        ((*TENSOR, "shape"), [1024, 8192, 8192]),
        ((*TENSOR, "dtype"), "complex64"),
        ((*TENSOR, "name"), ""),
        (("graphs", "main", "outputs"), []),
        (("proof", "main"), "believed"),
        (("spec", "task"), 5),
        (("task",), "gaze"),
        (("spec", "topk"), 2.5),
        (("spec", "image", "antialias"), "no"),
        (("precision",), "int5"),
        (("labels",), "abc"),
        (("labels",), [1, {}, None]),
        (("labels",), ["a", "b", "\ud800"]),
        (("golden", "relative_tolerance"), "x"),
        (("golden", "relative_tolerance"), -1),
        (("golden", "file"), None),
        (("reference", "noise_relative"), True),
        (("provenance", "weights", "trained"), "false"),
        (("provenance", "weights", "trained"), 0),
        (("provenance", "weights", "source"), 5),
        (("provenance", "tools"), {"torch": 2}),
        (("provenance", "command"), []),
        (("device",), {}),
        (("device",), ""),
        (("engine", "minimum"), "newest"),
        (("engine",), {"name": "onnxruntime"}),
        (("operations",), {"preprocess": 1}),
        (("state",), [{"from": "a"}]),
        (("verification", "passed"), "yes"),
        (("verification", "gates"), ["top1"]),
        (("verification", "figures"), 5),
    ],
)
def test_every_value_has_its_type_and_bounds(sealed: Path, place: tuple[Any, ...], value: object) -> None:
    def change(data: dict[str, Any]) -> None:
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value

    tiny_bundles.edit(sealed, change)
    with pytest.raises((SchemaError, SpecError), match=str(place[-1])):
        open_bundle(sealed)


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "9" * 5000, "[" * 40 + "]" * 40])
def test_numbers_that_no_machine_holds_are_told(sealed: Path, number: str) -> None:
    path = sealed / "manifest.json"
    for key in ('"bytes": 1800', '"topk": 5', '"passed": true'):
        whole = path.read_text()
        path.write_text(whole.replace(key, key.split(":")[0] + f": {number}"))
        with pytest.raises(SchemaError, match="not JSON"):
            open_bundle(sealed)
        path.write_text(whole)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["fp32", "onnx", "main", "../x", "model.onnx", "1.16", "executed"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in JSON data."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*place, key)
        yield from places(value[key], (*place, key))


@settings(max_examples=300)
@given(st.data())
def test_whatever_one_value_becomes_a_bundle_runs_or_is_told(opened: Bundle, data: st.DataObject) -> None:
    whole = json.loads((opened.path / "manifest.json").read_text())
    place = data.draw(st.sampled_from(list(places(whole))))
    at = whole
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = data.draw(JSON)
    try:
        manifest = parse(json.dumps(whole), where="test")
    except (BundleError, SpecError) as exc:
        assert str(exc).startswith("test: ")  # noqa: PT017 - many manifests are still sound
        return
    assert parse(manifest.to_json(), where="again") == manifest
    assert str(summary(Bundle(opened.path, manifest)))
    try:
        with load(Bundle(opened.path, manifest), engine="null") as session:
            session.infer(np.zeros((2, 3, 8, 8), np.float32))
    except EdgevitError:
        pass


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundles.write(tmp_path_factory.mktemp("opened") / "tiny", device="pixel-8")
