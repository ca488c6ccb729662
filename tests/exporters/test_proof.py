from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundles
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.bundle import Bundle
from edgevit.errors import BundleError
from edgevit.exporters.proof import read_arrays

NAMES = ("picture", "input", "output")
SOUND: Mapping[str, Any] = {
    "picture": np.zeros((9, 7, 3), np.uint8),
    "input": np.zeros((1, 3, 8, 8), np.float32),
    "output": np.zeros((1, 3), np.float32),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundles.write(tmp_path / "tiny")


def test_sound_samples_are_read(bundle: Bundle) -> None:
    arrays = {
        **SOUND,
        "input": np.asfortranarray(np.random.default_rng(0).random((2, 3, 8, 8))),
        "output": np.ones((2, 3)),
    }
    np.savez_compressed(bundle.file("golden.npz"), **arrays)
    for name, array in zip(NAMES, read_arrays(bundle, "golden", NAMES), strict=True):
        np.testing.assert_array_equal(array, arrays[name])
    pixels, outputs = read_arrays(bundle, "reference", ("pixels", "outputs"))
    assert (pixels.shape, outputs.shape) == ((1, 8, 8, 3), (1, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"output": np.zeros((1, 4), np.float32)},
        {"output": np.zeros((2, 3), np.float32)},
        {"output": np.zeros(3, np.float32)},
        {"output": np.array([["a", "b", "c"]])},
        {"output": np.array([[{}, 1, 2]], object)},
        {"output": np.zeros((1, 3), np.int32)},
        {"output": np.array([[1, np.nan, 2]], np.float32)},
        {"input": np.zeros((1, 8, 8, 3), np.float32)},
        {"picture": np.zeros((9, 7, 3), np.uint16)},
        {"picture": np.zeros((9, 7), np.uint8)},
        {"picture": np.zeros((0, 7, 3), np.uint8)},
        {"picture": np.zeros((9000, 1, 3), np.uint8)},
    ],
)
def test_samples_are_held_against_the_manifest(bundle: Bundle, change: Mapping[str, Any]) -> None:
    np.savez(bundle.file("golden.npz"), **{**SOUND, **change})
    with pytest.raises(BundleError, match="golden sample cannot be read"):
        read_arrays(bundle, "golden", NAMES)


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"not an array",
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4000000, 1000000, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (8192, 8192, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 1, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': 3}"),
        npy("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1, 1, 3)}", bytes(3)),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3)}", bytes(4)),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3)}", bytes(2)),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3)}", bytes(3), version=9),
        npy("{" * 500),
    ],
)
def test_a_member_that_lies_is_told_before_memory_is_taken(bundle: Bundle, member: bytes) -> None:
    with zipfile.ZipFile(bundle.file("golden.npz"), "w", zipfile.ZIP_DEFLATED) as stored:
        stored.writestr("picture.npy", member)
    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(bundle, "golden", ("picture",))


def test_an_array_that_swells_is_not_unpacked(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    header = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3)}", bytes(3))
    with zipfile.ZipFile(bundle.file("golden.npz"), "w", zipfile.ZIP_DEFLATED) as stored:
        stored.writestr("picture.npy", header + bytes(64 << 20))
    read, taken = zipfile.ZipExtFile.read, []

    def count(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        data = read(self, n)
        taken.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", count)
    with pytest.raises(BundleError, match="not as long as its header says"):
        read_arrays(bundle, "golden", ("picture",))
    assert sum(taken) < 1000


def test_what_is_no_npz_is_told(bundle: Bundle) -> None:
    path = bundle.file("golden.npz")
    whole = path.read_bytes()
    plain = io.BytesIO()
    np.save(plain, np.zeros(3))
    for content in (b"", whole[: len(whole) // 2], plain.getvalue(), b"hello"):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="cannot be read"):
            read_arrays(bundle, "golden", NAMES)
    np.savez(path, picture=SOUND["picture"])
    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(bundle, "golden", NAMES)


@pytest.mark.parametrize(("which", "key"), [("golden", "relative_tolerance"), ("reference", "noise_relative")])
def test_a_sample_without_its_limit_is_told(bundle: Bundle, which: str, key: str) -> None:
    told = {k: v for k, v in getattr(bundle.manifest, which).items() if k != key}
    changes: dict[str, Any] = {which: told}
    without = Bundle(bundle.path, replace(bundle.manifest, **changes))
    with pytest.raises(BundleError, match=f"says no {key}"):
        read_arrays(without, which, ())


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundles.write(tmp_path_factory.mktemp("damaged") / "tiny")


@pytest.fixture(scope="module")
def packed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **SOUND)
    return stream.getvalue()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_damaged_sample_is_read_or_told(damaged: Bundle, packed: bytes, flips: list[tuple[float, int]]) -> None:
    content = bytearray(packed)
    for at, bits in flips:
        content[int(at * len(content))] ^= bits
    damaged.file("golden.npz").write_bytes(content)
    try:
        picture, tensor, output = read_arrays(damaged, "golden", NAMES)
    except BundleError:
        return
    assert (picture.shape[2], tensor.shape, output.shape) == (3, (1, 3, 8, 8), (1, 3))
