from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_bundles
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit import archive
from edgevit.bundle import open_bundle, seal, staging, summary
from edgevit.errors import (
    BundleError,
    ChecksumError,
    EnvironmentFault,
    SchemaError,
    UnsafePathError,
    UsageError,
)
from edgevit.manifest import StandIn, check_names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return tiny_bundles.write(tmp_path / "tiny").path


def rezip(source: Path, target: Path, *, add: dict[str, bytes] | None = None, drop: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(source.iterdir()):
            if file.name != drop:
                zipped.write(file, file.name)
        for name, content in (add or {}).items():
            zipped.writestr(name, content)
    return target


def test_a_sealed_bundle_opens_with_the_same_manifest(tmp_path: Path) -> None:
    made = tiny_bundles.write(tmp_path / "tiny")
    opened = open_bundle(made.path)
    assert opened.manifest == made.manifest
    assert opened.graph_file().read_bytes().startswith(b"not really")
    assert opened.size_bytes == opened.graph_file().stat().st_size


def test_a_zip_opens_like_the_folder_and_twice_from_the_cache(tmp_path: Path, sealed: Path) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")
    first, second = open_bundle(target), open_bundle(target)
    assert first.manifest == open_bundle(sealed).manifest
    assert first.path == second.path


def test_the_same_bundle_packs_to_the_same_bytes(tmp_path: Path, sealed: Path) -> None:
    one, two = (open_bundle(sealed).to_zip(tmp_path / name).read_bytes() for name in ("1.zip", "2.zip"))
    assert one == two


def test_a_damaged_cache_is_made_again(tmp_path: Path, sealed: Path) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")
    extracted = open_bundle(target).graph_file()
    extracted.write_bytes(b"x" * extracted.stat().st_size)
    assert open_bundle(target).graph_file().read_bytes().startswith(b"not really")


def test_the_checksums_of_a_zip_can_be_left_out_and_nobody_else_meets_what_was_let_through(
    tmp_path: Path, sealed: Path
) -> None:
    (sealed / "model.onnx").write_bytes(b"N" + (sealed / "model.onnx").read_bytes()[1:])
    target = rezip(sealed, tmp_path / "changed.zip")
    for _ in range(2):
        assert open_bundle(target, check=False).graph_file().read_bytes().startswith(b"Not")
        with pytest.raises(ChecksumError, match=r"changed.zip: 'model.onnx' is not the file that was sealed"):
            open_bundle(target)


def test_a_truncated_file_is_told_by_its_size(sealed: Path) -> None:
    with (sealed / "model.onnx").open("r+b") as stream:
        stream.truncate(10)
    with pytest.raises(ChecksumError, match=r"'model.onnx' has 10 bytes and was sealed with 1800"):
        open_bundle(sealed)


def test_a_changed_byte_is_told_by_its_hash(sealed: Path) -> None:
    path = sealed / "model.onnx"
    path.write_bytes(b"N" + path.read_bytes()[1:])
    with pytest.raises(ChecksumError, match="not the file that was sealed"):
        open_bundle(sealed)
    assert open_bundle(sealed, check=False).manifest.model == "tiny"


@pytest.mark.parametrize("schema", [0, 2, "1", None, True, 1.5])
def test_an_unknown_schema_is_told(sealed: Path, schema: object) -> None:
    tiny_bundles.edit(sealed, lambda data: data.update(schema=schema))
    with pytest.raises(SchemaError, match=r"this edgevit reads schema 1"):
        open_bundle(sealed)


@pytest.mark.parametrize(
    ("text", "told"), [("{", "not JSON"), ("[]", "must be a JSON object"), ("", "not JSON"), ("[" * 9999, "not JSON")]
)
def test_a_manifest_that_is_not_json_is_told(sealed: Path, text: str, told: str) -> None:
    (sealed / "manifest.json").write_text(text)
    with pytest.raises(SchemaError, match=told):
        open_bundle(sealed)


def test_a_manifest_that_is_not_text_is_told(sealed: Path) -> None:
    (sealed / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="UTF-8"):
        open_bundle(sealed)


def test_a_missing_file_is_named(sealed: Path) -> None:
    (sealed / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"names 'model.onnx', which is missing"):
        open_bundle(sealed)


def test_a_graph_whose_file_is_not_listed_is_told(sealed: Path) -> None:
    tiny_bundles.edit(sealed, lambda data: data["graphs"]["main"].update(file="other.onnx"))
    with pytest.raises(SchemaError, match=r"other.onnx"):
        open_bundle(sealed)


def test_a_graph_whose_file_is_a_folder_opens_and_travels(tmp_path: Path) -> None:
    parts = {"model.mlpackage/Manifest.json": b"{}", "model.mlpackage/Data/weight.bin": b"1234"}
    graphs = {"main": replace(tiny_bundles.manifest().graphs["main"], file="model.mlpackage", proof="interpreted")}
    bundle = tiny_bundles.write(tmp_path / "b", content=None, more=parts, format="coreml", graphs=graphs)
    for opened in (open_bundle(bundle.path), open_bundle(bundle.to_zip(tmp_path / "b.zip"))):
        assert opened.graph_file().is_dir()
        assert (opened.graph_file() / "Data/weight.bin").read_bytes() == b"1234"
        assert opened.size_bytes == 6
    (bundle.path / "model.mlpackage/Data/weight.bin").write_bytes(b"1235")
    with pytest.raises(ChecksumError, match=r"weight.bin' is not the file that was sealed"):
        open_bundle(bundle.path)
    assert open_bundle(bundle.path, check=False).graph_file().is_dir()
    tiny_bundles.edit(bundle.path, lambda data: data["graphs"]["main"].update(file="model.mlpack"))
    with pytest.raises(SchemaError, match=r"'model.mlpack' is not in the list of files"):
        open_bundle(bundle.path, check=False)


def test_what_stood_in_for_the_engine_is_told(tmp_path: Path) -> None:
    stand_in = StandIn("ONNX Runtime", "executed")
    graphs = {"main": replace(tiny_bundles.manifest().graphs["main"], proof="graph-only", stand_in=stand_in)}
    bundle = open_bundle(tiny_bundles.write(tmp_path / "b", format="tensorrt", graphs=graphs).path)
    assert bundle.manifest.graphs == graphs
    assert summary(bundle)["proof"] == {"main": "graph-only; executed by ONNX Runtime"}
    tiny_bundles.edit(bundle.path, lambda data: data["stand_in"]["main"].update(proof="believed"))
    with pytest.raises(SchemaError, match=r"stand_in.main.proof' must be one of executed"):
        open_bundle(bundle.path)


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="no such folder"):
        open_bundle(tmp_path / "absent")


@pytest.mark.parametrize(
    "key", ["model", "spec", "graphs", "files", "proof", "provenance", "labels", "golden", "reference", "state"]
)
def test_every_missing_key_is_a_schema_error(sealed: Path, key: str) -> None:
    tiny_bundles.edit(sealed, lambda data: data.pop(key))
    with pytest.raises(SchemaError, match=key):
        open_bundle(sealed)


def test_unknown_keys_are_ignored(sealed: Path) -> None:
    def add(data: dict[str, Any]) -> None:
        data["weather"] = {"later": True}
        data["spec"]["also"] = 1
        data["graphs"]["main"]["also"] = 1
        data["provenance"]["weights"]["also"] = 1

    tiny_bundles.edit(sealed, add)
    assert open_bundle(sealed).manifest.model == "tiny"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "./a",
        "c:evil",
        "a\\b",
        "",
        "a/",
        "x\x00y",
        "new\nline",
        "n" * 300,
        "Manifest.json",
    ],
)
def test_names_that_lead_elsewhere_are_refused(sealed: Path, name: str) -> None:
    tiny_bundles.edit(sealed, lambda data: data["files"].update({name: {"sha256": "0" * 64, "bytes": 0}}))
    with pytest.raises(UnsafePathError):
        open_bundle(sealed)


def test_names_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(UnsafePathError, match="one file on some systems"):
        check_names(["Model.onnx", "model.onnx"])
    with pytest.raises(UnsafePathError, match="one file on some systems"):
        check_names(["caf\u00e9", "cafe\u0301"])


def test_a_symlink_is_refused_even_with_the_right_content(sealed: Path, tmp_path: Path) -> None:
    real = tmp_path / "outside"
    shutil.move(sealed / "model.onnx", real)
    (sealed / "model.onnx").symlink_to(real)
    with pytest.raises(UnsafePathError, match="symlink"):
        open_bundle(sealed)


@pytest.mark.parametrize("name", ["../evil", "/abs", "a/../../evil", "sub\\evil"])
def test_a_zip_that_leads_out_writes_nothing(sealed: Path, tmp_path: Path, cache: Path, name: str) -> None:
    target = rezip(sealed, tmp_path / "evil.zip", add={name: b"boo"})
    with pytest.raises(UnsafePathError):
        open_bundle(target)
    assert not cache.exists()
    assert not (tmp_path / "evil").exists()


def test_a_zip_with_a_link_is_refused(sealed: Path, tmp_path: Path) -> None:
    target = rezip(sealed, tmp_path / "link.zip", drop="model.onnx")
    with zipfile.ZipFile(target, "a") as zipped:
        info = zipfile.ZipInfo("model.onnx")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafePathError, match="link"):
        open_bundle(target)


def test_a_zip_bomb_is_refused_before_anything_is_written(sealed: Path, tmp_path: Path, cache: Path) -> None:
    target = rezip(sealed, tmp_path / "bomb.zip", add={"zeros.bin": bytes(64 << 20)})
    with pytest.raises(BundleError, match="zip bomb"):
        open_bundle(target)
    assert not cache.exists()


def test_a_zip_that_would_fill_the_disk_is_refused(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_BYTES", 1000)
    with pytest.raises(BundleError, match="zip bomb"):
        open_bundle(rezip(sealed, tmp_path / "big.zip"))


def test_a_zip_with_too_many_files_is_refused(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_FILES", 3)
    with pytest.raises(BundleError, match="no bundle holds more"):
        open_bundle(rezip(sealed, tmp_path / "many.zip"))


def test_a_zip_that_is_none_or_cut_or_without_manifest_is_told(sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(BundleError, match="not a readable zip"):
        open_bundle(tmp_path / "text.zip")
    whole = open_bundle(sealed).to_zip(tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="not a readable zip"):
        open_bundle(tmp_path / "cut.zip")
    with pytest.raises(BundleError, match=r"no manifest.json"):
        open_bundle(rezip(sealed, tmp_path / "headless.zip", drop="manifest.json"))


def test_a_zip_whose_content_does_not_match_its_checksum_is_told(sealed: Path, tmp_path: Path) -> None:
    (sealed / "model.onnx").write_bytes(b"x" * 1800)
    with pytest.raises(ChecksumError):
        open_bundle(rezip(sealed, tmp_path / "wrong.zip"))


def test_an_existing_folder_is_refused_without_force(sealed: Path) -> None:
    before = sorted(p.name for p in sealed.iterdir())
    with pytest.raises(UsageError, match="--force"):
        tiny_bundles.write(sealed)
    assert sorted(p.name for p in sealed.iterdir()) == before


def test_force_replaces_a_bundle_and_nothing_else(sealed: Path, tmp_path: Path) -> None:
    assert tiny_bundles.write(sealed, force=True, content=b"new").graph_file().read_bytes() == b"new"
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="bundles only"):
        tiny_bundles.write(precious, force=True)
    assert (precious / "thesis.txt").exists()


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    def crash() -> None:
        with staging(tmp_path / "out") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rename_keeps_the_old_bundle(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Path.rename, []

    def rename(source: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "input/output error")
        return real(source, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(EnvironmentFault, match="input/output error"):
        tiny_bundles.write(sealed, force=True, content=b"new")
    assert open_bundle(sealed).graph_file().read_bytes().startswith(b"not really")


def test_a_full_disk_is_said_as_that(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no space left"), staging(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_temporary_folder_is_told_from_a_full_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, real = tmp_path / "small", shutil.disk_usage
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    monkeypatch.setattr(
        shutil, "disk_usage", lambda at: real(tmp_path)._replace(free=0) if at == str(small) else real(at)
    )
    told = r"small: no space left in the temporary folder.*TMPDIR"
    with pytest.raises(EnvironmentFault, match=told), staging(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_may_not_be_named_so_cannot_be_sealed(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as folder:
        (folder / "model.onnx").write_bytes(b"x")
        (folder / "link").symlink_to("/etc/passwd")
        (folder / "MODEL.onnx").write_bytes(b"x")
        with pytest.raises(UnsafePathError):
            seal(folder, tiny_bundles.manifest(), tmp_path / "out")


def test_a_file_added_to_a_bundle_is_refused(sealed: Path) -> None:
    (sealed / "w.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"holds 'w.bin', which the manifest does not list"):
        open_bundle(sealed, check=False)
    (sealed / "w.bin").unlink()
    (sealed / "deep").mkdir()
    (sealed / "deep" / "w.bin").symlink_to("/etc")
    with pytest.raises(BundleError, match=r"holds 'deep/w.bin'"):
        open_bundle(sealed)


def test_what_systems_drop_into_folders_is_let_lie(sealed: Path, tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "._model.onnx"):
        (sealed / name).write_bytes(b"x")
    assert open_bundle(sealed).manifest.model == "tiny"
    opened = open_bundle(rezip(sealed, tmp_path / "finder.zip", add={"__MACOSX/._model.onnx": b"x"}))
    assert sorted(p.name for p in opened.path.iterdir()) == [
        "golden.npz",
        "manifest.json",
        "model.onnx",
        "reference.npz",
    ]


def swollen(sealed: Path, count: int) -> dict[str, bytes]:
    """List ``count`` files in the manifest that are within the bounds of one member, and return them."""
    zeros = bytes(8 << 20)
    record = {"sha256": hashlib.sha256(zeros).hexdigest(), "bytes": len(zeros)}
    tiny_bundles.edit(sealed, lambda data: data["files"].update({f"{n}.bin": record for n in range(count)}))
    return {f"{n}.bin": zeros for n in range(count)}


def test_many_small_bombs_are_one_bomb(sealed: Path, tmp_path: Path, cache: Path) -> None:
    target = rezip(sealed, tmp_path / "bomb.zip", add=swollen(sealed, 6))
    with pytest.raises(BundleError, match="zip bomb"):
        open_bundle(target)
    assert not cache.exists()


def retold(folder: Path, **record: object) -> None:
    """Let the manifest tell something else of the model file."""
    tiny_bundles.edit(folder, lambda data: data["files"]["model.onnx"].update(record))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda f: tiny_bundles.edit(f, lambda d: d.update(schema=9)), "schema 9"),
        (
            lambda f: tiny_bundles.edit(f, lambda d: d["files"]["model.onnx"].update(sha256="0" * 64)),
            "not the file that was sealed",
        ),
        (
            lambda f: tiny_bundles.edit(f, lambda d: d["files"]["model.onnx"].update(bytes=5)),
            "1800 bytes and was sealed with 5",
        ),
        (lambda f: (f / "unlisted.so").write_bytes(b"x"), "unlisted.so"),
        (lambda f: (f / "golden.npz").unlink(), "'golden.npz', which is missing"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff"), "utf-8"),
    ],
)
def test_a_bad_zip_leaves_nothing_in_the_cache(
    sealed: Path, tmp_path: Path, cache: Path, break_it: Callable[[Path], object], told: str
) -> None:
    break_it(sealed)
    with pytest.raises(BundleError, match=told):
        open_bundle(rezip(sealed, tmp_path / "bad.zip"))
    assert [p for p in cache.rglob("*") if p.is_file()] == []
    assert list((cache / "bundles").glob("*")) == []


def test_a_zip_is_extracted_once(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")
    extract, calls = archive._extract, []

    def count(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        extract(*args, **kwargs)

    monkeypatch.setattr(archive, "_extract", count)
    open_bundle(target)
    open_bundle(target)
    assert len(calls) == 1


def test_the_zip_that_is_hashed_is_the_zip_that_is_read(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")
    other = tiny_bundles.write(tmp_path / "other", content=b"other").to_zip(tmp_path / "other.zip")
    checked = archive._checked

    def swap(*args: Any) -> Any:
        other.replace(target)
        return checked(*args)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_checked", swap)
        first = open_bundle(target)
    assert first.graph_file().read_bytes().startswith(b"not really")
    assert open_bundle(target).graph_file().read_bytes() == b"other"


def test_a_cache_that_cannot_be_written_is_said(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")
    (tmp_path / "file").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setenv("EDGEVIT_CACHE", str(tmp_path / "file"))
        with pytest.raises(EnvironmentFault, match="EDGEVIT_CACHE"):
            open_bundle(target)

    def full(*args: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive, "_copy", full)
    with pytest.raises(EnvironmentFault, match="no space left"):
        open_bundle(target)


def test_a_bundle_that_may_not_be_read_is_said(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_bundle(sealed).to_zip(tmp_path / "tiny.zip")

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    for place in (sealed, target):
        with pytest.raises(EnvironmentFault, match="not allowed to read"):
            open_bundle(place)
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle("x" * 5000)


@pytest.mark.parametrize("names", [("x", "x/y"), ("X/y", "x"), ("manifest.json/y",), ("a/b", "a/b/c/d")])
def test_a_file_that_is_also_a_folder_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UnsafePathError, match=r"folder|itself"):
        check_names(names)
    check_names(["a/b", "a/c", "ab", "a.b"])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_damaged_zip_opens_soundly_or_is_told(zipped: bytes, flips: list[tuple[float, int]]) -> None:
    content = bytearray(zipped)
    for at, bits in flips:
        content[int(at * len(content))] ^= bits
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEVIT_CACHE", str(Path(name, "cache")))
        Path(name, "b.zip").write_bytes(content)
        try:
            opened = open_bundle(Path(name, "b.zip"))
        except BundleError:
            return
        assert opened.graph_file().read_bytes() == b"not really a model" * 100


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("zipped")
    return tiny_bundles.write(folder / "tiny").to_zip(folder / "tiny.zip").read_bytes()


def test_a_zip_is_written_where_it_opens_again_and_over_nothing(sealed: Path, tmp_path: Path) -> None:
    bundle = open_bundle(sealed)
    with pytest.raises(UsageError, match=r"ends in \.zip"):
        bundle.to_zip(tmp_path / "tiny.tar")
    with pytest.raises(UsageError, match="there is no folder"):
        bundle.to_zip(tmp_path / "absent" / "tiny.zip")
    (tmp_path / "tiny.zip").write_bytes(b"precious")
    with pytest.raises(UsageError, match="force=True"):
        bundle.to_zip(tmp_path / "tiny.zip")
    assert (tmp_path / "tiny.zip").read_bytes() == b"precious"
    assert open_bundle(bundle.to_zip(tmp_path / "tiny.zip", force=True)).manifest == bundle.manifest
    (sealed / "model.onnx").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        bundle.to_zip(tmp_path / "again.zip")
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part") or p.name == "again.zip"]


def test_only_errors_of_writing_the_bundle_are_said_as_that(tmp_path: Path) -> None:
    def fail(number: int, *names: Path) -> None:
        with staging(tmp_path / "out") as folder:
            raise OSError(number, os.strerror(number), *(str(folder / name) for name in names))

    with pytest.raises(EnvironmentFault, match="out: not allowed to write"):
        fail(errno.EACCES, Path("model.onnx"))
    with pytest.raises(EnvironmentFault, match="out: cannot be written"):
        fail(errno.EIO, tmp_path / "out.refused" / "report.json")
    with pytest.raises(EnvironmentFault, match="no space left"):
        fail(errno.EDQUOT)
    for foreign in (tmp_path / "pictures" / "a.png", Path("/elsewhere")):
        with pytest.raises(FileNotFoundError):
            fail(errno.ENOENT, foreign)
    with pytest.raises(ConnectionResetError):
        fail(errno.ECONNRESET)


@pytest.mark.parametrize("wrong", [None, 5, b"x", ["a"]])
def test_a_bundle_is_opened_by_a_path(wrong: Any) -> None:
    with pytest.raises(UsageError, match="by the path"):
        open_bundle(wrong)


def test_opening_a_bundle_needs_no_numpy(sealed: Path) -> None:
    script = f"import sys, edgevit.bundle as b; b.open_bundle({str(sealed)!r}); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
