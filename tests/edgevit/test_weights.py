"""Choose, fetch and read weights; everything that is not weights gets its own sentence and runs nothing."""

from __future__ import annotations

import argparse
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import edgevit.weights
from edgevit.errors import WeightsError
from edgevit.models import weights
from edgevit.models.weights import WeightChoice, choose, fetch, parse, read

STATE = {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.zeros(2)}
HASH = "ab" * 32


@pytest.mark.parametrize(
    ("typed", "choice"),
    [
        (None, WeightChoice("default")),
        ("shipped", WeightChoice("shipped")),
        ("hub", WeightChoice("hub")),
        ("random", WeightChoice("random")),
        ("best.pth", WeightChoice("file", "best.pth")),
        (Path("a/best.pth"), WeightChoice("file", "a/best.pth")),
        ("C:/best.pth", WeightChoice("file", "C:/best.pth")),
        (f"https://x.org/w.pth#sha256={HASH}", WeightChoice("url", "https://x.org/w.pth", HASH)),
        (f"https://x.org/w.pth#sha256={HASH.upper()}", WeightChoice("url", "https://x.org/w.pth", HASH)),
        (f"http://127.0.0.1:8/w#sha256={HASH}", WeightChoice("url", "http://127.0.0.1:8/w", HASH)),
    ],
)
def test_what_is_typed_is_understood(typed: str | Path | None, choice: WeightChoice) -> None:
    assert parse(typed) == choice


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("https://x.org/w.pth", r"Add its hash: https://x\.org/w\.pth#sha256=HASH"),
        ("https://x.org/w.pth#sha256=123", "Add its hash"),
        ("https://x.org/w.pth#md5=123", "Add its hash"),
        (f"http://x.org/w.pth#sha256={HASH}", "only https"),
        (f"ftp://x.org/w.pth#sha256={HASH}", "only https"),
    ],
)
def test_addresses_that_prove_nothing_are_refused(typed: str, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        parse(typed)


@given(st.text())
def test_parsing_never_fails_otherwise(typed: str) -> None:
    try:
        choice = parse(typed)
    except WeightsError:
        return
    assert choice.kind in ("shipped", "hub", "random", "file", "url")
    assert choice.kind != "url" or len(choice.sha256) == 64


def test_the_default_is_shipped_weights_else_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgevit.weights, "shipped", lambda: {"made_here": object()})
    assert choose(None, name="made_here").kind == "shipped"
    assert choose(None, name="levit_128s").kind == "hub"
    assert choose("random", name="made_here").kind == "random"


def test_shipped_weights_come_from_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "made_here.safetensors"
    save_file(STATE, file)
    monkeypatch.setattr(edgevit.weights, "shipped", lambda: {"made_here": object()})
    monkeypatch.setattr(edgevit.weights, "weights_path", lambda name: file)
    got = fetch(choose(None, name="made_here"), name="made_here")
    assert (got.kind, got.path) == ("shipped", file)
    assert got.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"No weights are shipped for levit_128s \(only for made_here\)"):
        fetch(parse("shipped"), name="levit_128s")


def test_random_needs_no_file_and_a_missing_file_names_the_choices() -> None:
    assert fetch(parse("random"), name="levit_128s").path is None
    with pytest.raises(WeightsError, match=r"no weights file 'radnom'.*shipped, hub, random"):
        fetch(parse("radnom"), name="levit_128s")
    with pytest.raises(WeightsError, match=r"No weights of nobody were published.*shipped, hub, random"):
        fetch(parse("hub"), name="nobody", hub=None)


def _saved(path: Path, data: Any, **options: Any) -> Path:
    torch.save(data, path, **options)
    return path


def test_safetensors_and_torch_files_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    (tmp_path / "b.bin").write_bytes((tmp_path / "a.safetensors").read_bytes())  # known by its content
    files = [tmp_path / "a.safetensors", tmp_path / "b.bin"]
    files += [_saved(tmp_path / name, STATE) for name in ("c.pth", "d.pt", "e.pth.tar")]
    files += [_saved(tmp_path / "old.pth", STATE, _use_new_zipfile_serialization=False)]
    for file in files:
        assert torch.equal(read(file)["head.weight"], STATE["head.weight"])


def test_a_trainers_options_beside_the_weights_are_no_obstacle(tmp_path: Path) -> None:
    extras = {"args": argparse.Namespace(lr=0.1, model="shvit_s1"), "metric": np.float64(77.5), "epoch": 3}
    data = read(_saved(tmp_path / "best.pth", {"state_dict": STATE, **extras}))
    assert torch.equal(data["state_dict"]["head.weight"], STATE["head.weight"])


class _Trap:
    """Leave a mark if anybody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_nothing_is_ever_unpickled(tmp_path: Path, options: dict[str, Any]) -> None:
    mark = tmp_path / "ran"
    trap = _saved(tmp_path / "trap.pth", {"model": STATE, "x": _Trap(mark)}, **options)
    with pytest.raises(WeightsError, match="Nothing is ever unpickled"):
        read(trap)
    whole = _saved(tmp_path / "whole.pth", torch.nn.Linear(2, 2))
    with pytest.raises(WeightsError, match=r"torch\.save\(model\.state_dict\(\), FILE\)"):
        read(whole)
    bare = tmp_path / "bare.pkl"
    bare.write_bytes(pickle.dumps(_Trap(mark)))
    with pytest.raises(WeightsError):
        read(bare)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("w.pth", b"", "is empty"),
        ("w.pth", b"<!DOCTYPE html><html>", "is a web page"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("w.pth", b"hello, this is text", "unpickled|damaged"),
        ("w.safetensors", b"\xff" * 100, "damaged, or not a safetensors file"),
        ("w.npz", b"PK\x03\x04", "NumPy archive"),
    ],
)
def test_foreign_files_have_their_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        read(file)


@pytest.mark.parametrize("kind", ["pth", "old.pth", "safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    file = tmp_path / f"w.{kind}"
    if kind == "safetensors":
        save_file(STATE, file)
    else:
        _saved(file, STATE, _use_new_zipfile_serialization=kind == "pth")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError):
        read(file)


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds a list; expected a state dict"):
        read(_saved(tmp_path / "list.pth", [torch.zeros(2)]))
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path)


def test_the_words_of_the_choice_are_told_in_one_place() -> None:
    assert all(word in weights.CHOICES for word in ("shipped", "hub", "random", "file", "https", "sha256"))
