"""What can be served is, the rest is told by name, and nothing to serve is a fault."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import blob_onnx
import onnx_files
import pytest
import served_here
import tiny_bundles

from edgevit.apps.serve.shelf import open_shelf
from edgevit.errors import BundleError, InputError

pytest.importorskip("onnxruntime")


def test_the_good_are_served_and_the_others_told(tmp_path: Path) -> None:
    place = served_here.folder(tmp_path)
    blob_onnx.write(place / "tracker")
    (place / "notes.txt").write_text("no bundle")
    (place / ".hidden").mkdir()
    heard: list[str] = []
    shelf = open_shelf(place, depth=2, threads=1, opened=lambda one: heard.append(one.name))
    try:
        assert sorted(shelf.served) == ["good", "picky", "raw", "tracker"] == sorted(heard)
        assert sorted(shelf.refused) == ["broken", "empty", "torn"]
        assert "sealed with" in shelf.refused["torn"]
        assert not any(why.startswith(name) for name, why in shelf.refused.items() if name != "torn")
        assert str(tmp_path) not in " ".join(shelf.refused.values())
    finally:
        shelf.close()


def test_one_bundle_may_be_the_whole_and_two_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    tiny_bundles.write(tmp_path / "all" / "one", content=content)
    shutil.make_archive(str(tmp_path / "all" / "one"), "zip", tmp_path / "all" / "one")
    single = open_shelf(tmp_path / "all" / "one", depth=1, name="nice")
    both = open_shelf(tmp_path / "all", depth=1)
    zipped = open_shelf(tmp_path / "all" / "one.zip", depth=1)
    try:
        assert list(single.served) == ["nice"]
        assert list(zipped.served) == list(both.served) == ["one"]
        assert both.refused == {"one.zip": "another bundle is named 'one'; rename one of them."}
    finally:
        for shelf in (single, both, zipped):
            shelf.close()


def test_nothing_to_serve_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        open_shelf(tmp_path / "none", depth=1)
    with pytest.raises(InputError, match=r"There is no bundle in .* Type: edgevit export"):
        open_shelf(tmp_path, depth=1)
    tiny_bundles.write(tmp_path / "bad")
    with pytest.raises(BundleError, match=r"Nothing in .* can be served\. bad: "):
        open_shelf(tmp_path, depth=1)


@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe"])
def test_a_name_that_cannot_be_shown_is_refused_and_told(tmp_path: Path, name: bytes) -> None:
    content = onnx_files.mean_classifier(tmp_path / "source.onnx").read_bytes()
    made = tiny_bundles.write(tmp_path / "all" / "it", content=content).path
    try:
        shutil.copytree(made, made.parent / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system has no such names")
    shelf = open_shelf(made.parent, depth=1)
    try:
        assert list(shelf.served) == ["it"]
        ((shown, why),) = shelf.refused.items()
        assert shown.isascii()
        assert shown.isprintable()
        assert "rename it" in why
    finally:
        shelf.close()
