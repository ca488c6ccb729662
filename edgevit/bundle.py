"""Open and seal bundles: the one thing that crosses the wall from workstation to device.

A bundle is a folder, or a ``.zip`` of it. It is written once, under another name, synced and renamed; then it never
changes. What a device builds from it lives in a cache beside it.

``manifest.json`` (UTF-8, one object; a reader MUST ignore keys it does not know):

* ``schema``: 1. It rises only when an old reader would be wrong.
* ``model`` ``task`` ``format`` ``precision`` ``device?``: what was exported, as what, for whom.
* ``engine``: ``{name, minimum}``, what runs the files, and the oldest version they were made for.
* ``graphs``: name -> ``{file, entry, inputs, outputs}``; a classifier has one, ``main``. A tensor is
  ``{name, shape, dtype}``; -1 is a dimension that may vary.
* ``state``: ``[{from, to}]``, what one graph's output carries into another's input.
* ``operations``: arithmetic that the app does itself, named and versioned (``preprocess: image/1``).
* ``spec`` ``labels`` ``label_ids``: the contract of ``edgevit.spec``.
* ``proof``: graph -> ``executed`` | ``interpreted`` | ``graph-only``; ``verification``: the gates and the figures.
* ``golden``: ``{file, ...}``, an npz with one built-in picture (``picture``, RGB), its input tensor (``input``) and the
  file's outputs (``output``): any runtime can test itself with it.
* ``reference``: ``{file, ...}``, an npz with the pixels after resize and crop and the outputs of the model in torch.
* ``provenance``: weights (source, sha256, licence, trained or not), licence of the code, tool versions, command,
  hashes of the calibration pictures.
* ``files``: path -> ``{sha256, bytes}`` for every file but the manifest. A path MUST be relative, ``/``-separated,
  without ``..``, and unlike every other one when case is ignored. Symlinks MUST NOT appear.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import archive
from .errors import BundleError, ChecksumError, EnvironmentFault, UnsafePathError, UsageError
from .manifest import MANIFEST_NAME, FileRecord, Manifest, check_names, parse

_MANIFEST_LIMIT_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """Stand for one sealed bundle on disk: where it is and what its manifest says."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.path}: the manifest lists no file '{name}'.")
        return self.path / name

    def graph_file(self, graph: str = "main") -> Path:
        """Return the model file of one graph."""
        if graph not in self.manifest.graphs:
            raise BundleError(f"{self.path}: no graph '{graph}'; it has {', '.join(self.manifest.graphs)}.")
        return self.file(self.manifest.graphs[graph].file)

    @property
    def size_bytes(self) -> int:
        """Add up the model's own files: everything but the golden sample and the reference."""
        proof_files = {self.manifest.golden["file"], self.manifest.reference["file"]}
        return sum(f.size_bytes for name, f in self.manifest.files.items() if name not in proof_files)

    def to_zip(self, path: str | Path) -> Path:
        """Write the bundle as one ``.zip`` file, which opens like the folder."""
        target = Path(path)
        archive.pack(self.path, [MANIFEST_NAME, *self.manifest.files], target)
        return target

    def __repr__(self) -> str:
        m = self.manifest
        return f"Bundle({str(self.path)!r}, model={m.model!r}, format={m.format!r}, precision={m.precision!r})"


def open_bundle(path: str | Path, *, check: bool = True) -> Bundle:
    """Open a bundle (folder or zip) after checking schema, names, presence and checksums of everything in it.

    ``check=False`` leaves out the checksums only, for a bundle that was opened before.
    """
    where = Path(path)
    if not (where.is_file() and where.suffix.lower() == ".zip"):
        return _open_folder(where, where, check=check)
    folder = archive.unpack(where, _MANIFEST_LIMIT_BYTES)
    try:
        return _open_folder(folder, where, check=check)
    except BundleError:  # perhaps it is the cache that was damaged, not the zip
        shutil.rmtree(folder, ignore_errors=True)
        return _open_folder(archive.unpack(where, _MANIFEST_LIMIT_BYTES), where, check=check)


def _open_folder(folder: Path, where: Path, *, check: bool) -> Bundle:
    if not folder.is_dir():
        hint = "it is a file" if folder.exists() else "there is no such folder"
        raise BundleError(
            f"{where}: {hint}; expected a bundle folder or its .zip. Type: edgevit export MODEL --format onnx"
        )
    manifest = parse(_read_manifest(folder, where), where=str(where))
    for name, record in manifest.files.items():
        _check_file(folder, name, record, where=where, content=check)
    return Bundle(folder, manifest)


def _read_manifest(folder: Path, where: Path) -> str:
    path = folder / MANIFEST_NAME
    if not path.is_file() or path.is_symlink():
        raise BundleError(f"{where}: there is no {MANIFEST_NAME} in it, so it is not a bundle.")
    if path.stat().st_size > _MANIFEST_LIMIT_BYTES:
        raise BundleError(f"{where}: {MANIFEST_NAME} is larger than {_MANIFEST_LIMIT_BYTES >> 20} MiB; no bundle's is.")
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as exc:
        raise BundleError(f"{where}: {MANIFEST_NAME} cannot be read as UTF-8 text ({exc}).") from exc


def _check_file(folder: Path, name: str, record: FileRecord, *, where: Path, content: bool) -> None:
    path = folder / name
    inside = [folder.joinpath(*Path(name).parts[: n + 1]) for n in range(len(Path(name).parts))]
    if any(p.is_symlink() for p in inside):
        raise UnsafePathError(f"{where}: '{name}' is a symlink; a bundle holds plain files only.")
    if not path.is_file():
        raise BundleError(f"{where}: the manifest names '{name}', which is missing. Copy the whole folder again.")
    size_bytes = path.stat().st_size
    if size_bytes != record.size_bytes:
        raise ChecksumError(
            f"{where}: '{name}' has {size_bytes} bytes and was sealed with {record.size_bytes}; it was cut or changed. "
            "Copy the bundle again."
        )
    if content and sha256_of(path) != record.sha256:
        raise ChecksumError(
            f"{where}: '{name}' is not the file that was sealed (its sha256 differs). Copy the bundle again."
        )


def sha256_of(path: Path) -> str:
    """Hash a file without reading it whole."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def staging(out: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder beside ``out`` to build a bundle in; it is removed unless it was sealed.

    ``out`` is checked first, so that a long export does not end in "already exists".
    """
    target = Path(out)
    check_out(target, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as exc:
        raise _cannot_write(target, exc) from exc
    try:
        yield folder
    except OSError as exc:
        raise _cannot_write(target, exc) from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_out(target: Path, *, force: bool) -> None:
    """Refuse an output folder that exists, unless it is a bundle (or empty) and may be replaced."""
    if not (target.exists() or target.is_symlink()):
        return
    if not force:
        raise UsageError(f"{target} exists already. Choose another --out, or type --force to replace it.")
    replaceable = target.is_dir() and not target.is_symlink() and (_is_bundle(target) or not any(target.iterdir()))
    if not replaceable:
        raise UsageError(f"{target} is not a bundle; --force replaces bundles only. Choose another --out.")


def _is_bundle(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file()


def seal(folder: Path, manifest: Manifest, out: str | Path, *, force: bool = False) -> Bundle:
    """Hash what lies in ``folder``, write the manifest, sync, and rename the folder to ``out``."""
    target = Path(out)
    check_out(target, force=force)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink())
    check_names(names)
    files = {name: FileRecord(sha256_of(folder / name), (folder / name).stat().st_size) for name in names}
    sealed = replace(manifest, files=files)
    text = sealed.to_json()
    parse(text, where=str(target))  # what is written must be readable
    try:
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
        folder.chmod(0o755)  # mkdtemp made it private
        for name in [*names, MANIFEST_NAME]:
            _sync(folder / name)
        _sync(folder)
        _rename(folder, target)
        _sync(target.parent)
    except OSError as exc:
        raise _cannot_write(target, exc) from exc
    return Bundle(target, sealed)


def _rename(folder: Path, target: Path) -> None:
    """Put the new folder in place; an older bundle steps aside first and is removed last."""
    old = folder.with_name(folder.name + ".old")
    if target.exists():
        target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(target: Path, exc: OSError) -> EnvironmentFault:
    if exc.errno == errno.ENOSPC:
        return EnvironmentFault(f"{target}: no space left on the device. Free some, or choose another --out.")
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EnvironmentFault(f"{target}: not allowed to write there ({exc.strerror}). Choose another --out.")
    return EnvironmentFault(f"{target}: cannot be written ({exc.strerror or exc}).")


def summary(bundle: Bundle) -> dict[str, Any]:
    """Return what one line about a bundle says."""
    m = bundle.manifest
    return {
        "path": str(bundle.path),
        "model": m.model,
        "task": m.task,
        "format": m.format,
        "precision": m.precision,
        "device": m.device,
        "size_bytes": bundle.size_bytes,
        "trained": m.trained,
        "proof": {name: graph.proof for name, graph in m.graphs.items()},
        "passed": bool(m.verification.get("passed")),
    }
