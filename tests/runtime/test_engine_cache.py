from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import EnvironmentFault
from edgevit.runtime.engine_cache import EngineCache, EngineKey, write_whole

keys = st.builds(
    EngineKey,
    *[st.text(max_size=8)] * 5,
    st.dictionaries(st.sampled_from(["workspace_mb", "most_rows"]), st.integers(0, 9)),
)


@given(keys, keys)
def test_keys_that_differ_have_other_names(one: EngineKey, other: EngineKey) -> None:
    assert (one.digest == other.digest) == (one == other)


@given(st.binary(max_size=64), keys)
def test_what_is_stored_is_found_whole(data: bytes, key: EngineKey) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = EngineCache(Path(folder) / "b")
        with cache.building():
            cache.store(key, data, {})
        found = cache.exact(key)
        assert found is not None
        assert found.data == data
        assert cache.find(key) == found


def key(model_sha256: str = "a", tensorrt: str = "10.3.0") -> EngineKey:
    return EngineKey(model_sha256, "Orin", "8.7", tensorrt)


def test_what_differs_is_said(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "b")
    assert (cache.find(key()), cache.others(key())) == (None, "")
    with cache.building():
        path = cache.store(key(), b"engine", {})
    assert cache.others(key(model_sha256="b")) == "the engine there was built of another file"
    assert cache.others(key(tensorrt="11.0")) == "the engine there is for Orin and TensorRT 10.3.0"
    path.write_bytes(b"something else")
    assert (cache.find(key()), cache.others(key())) == (None, "the engine there is damaged")


def test_the_cache_lies_beside_a_bundle_named_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert EngineCache(Path("b")).folder == tmp_path / "b.cache"
    assert EngineCache(Path("b.v2")).folder == tmp_path / "b.v2.cache"


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "f", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        write_whole(tmp_path / "f", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("f", b"old")]
