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
  ``file`` may be a folder of the bundle (Core ML's ``.mlpackage`` is one); ``files`` lists what is in it.
* ``proof``: graph -> ``executed`` | ``interpreted`` | ``graph-only``, how far the format's own engine was proven; where
  that could not run, ``stand_in``: graph -> ``{engine, proof, file?}`` says what ran the same file instead, or
  ``file``, made of the same graph for another engine.
* ``placement``?: ``{falls_back, views}``, where the operators run (docs/placement.md); a view is ``{graph, unit, basis,
  decides, places, fallbacks, notes}``, ``basis`` being ``executed`` or ``rule``.
* ``verification``: the gates and the figures.
* ``golden``: ``{file, relative_tolerance}``, an npz with one built-in picture (``picture``, RGB), its input tensor
  (``input``) and the file's outputs (``output``): any runtime can test itself with it.
* ``reference``: ``{file, noise_relative}``, an npz with the pixels after resize and crop (``pixels``), the outputs of
  the model in torch (``outputs``) and of the file at its export (``answers``).
  A tracker's ``golden`` and ``reference`` hold pairs of pictures, and each tensor of both graphs under
  ``graph.tensor`` (``exporters/trackers/proof.py`` lists the arrays).
* ``provenance``: weights (source, sha256, licence, trained or not), licence of the code, tool versions, command,
  hashes of the calibration pictures.
* ``files``: path -> ``{sha256, bytes}`` for every file but the manifest. A path MUST be relative, ``/``-separated,
  without ``..``, unlike every other one when case is ignored, and none may be another's folder. Symlinks MUST NOT
  appear, nor any file that is not listed, in the folder or in the zip; only what systems drop into every folder
  (``.DS_Store``, ``Thumbs.db``, ``desktop.ini``, ``._*``) is let lie, and never opened.

Bounds, so that a stranger's manifest can be read without fear: text is at most 64 KiB, JSON 32 levels deep, numbers
finite; a tensor has 1 to 8 dimensions, each -1 or from 1, the first (the batch) at most 1024, at most 2^29 numbers in
all; a picture's side is at most 8192; ``precision`` and ``dtype`` are words of the tables in ``formats.py`` and
``manifest.py``; ``minimum`` is numbers with dots. ``task`` repeats ``spec.task``. A reader MUST refuse an operation or
a task that it does not know, and an engine older than ``minimum``. ONNX weights outside the model file MUST be listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import archive
from .disk import cannot_write, put_in_place, reading, sync
from .disk import sha256_of as sha256_of
from .errors import BundleError, UnsafePathError, UsageError
from .manifest import FileRecord, Manifest, files_in, parse
from .names import MANIFEST_NAME, check_names, is_dropping
from .seals import check_digest, check_size, unlisted_file
from .unsealed import check_out as check_out
from .unsealed import staging as staging
from .unsealed import taken


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
        """Return the model file of one graph; it is a folder where the format's are."""
        if graph not in self.manifest.graphs:
            raise BundleError(f"{self.path}: no graph '{graph}'; it has {', '.join(self.manifest.graphs)}.")
        name = self.manifest.graphs[graph].file
        return self.path / name if files_in(name, self.manifest.files) else self.file(name)

    @property
    def size_bytes(self) -> int:
        """Add up the model's own files: everything but the golden sample and the reference."""
        proof_files = {self.manifest.golden["file"], self.manifest.reference["file"]}
        return sum(f.size_bytes for name, f in self.manifest.files.items() if name not in proof_files)

    def to_zip(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the bundle as one ``.zip`` file, which opens like the folder. ``force`` replaces a file."""
        target = Path(path)
        archive.pack(self.path, [MANIFEST_NAME, *self.manifest.files], target, force=force)
        return target

    def __repr__(self) -> str:
        m = self.manifest
        return f"Bundle({str(self.path)!r}, model={m.model!r}, format={m.format!r}, precision={m.precision!r})"


def open_bundle(path: str | Path, *, check: bool = True) -> Bundle:
    """Open a bundle (folder or zip) after checking schema, names, presence and checksums of everything in it.

    ``check=False`` leaves out the checksums only, of a zip as of a folder.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"A bundle is opened by the path of its folder or .zip, not by {type(path).__name__}.")
    where = Path(path)
    with reading(where):
        if not (where.is_file() and where.suffix.lower() == ".zip"):
            return _open_folder(where, where, check=check)
        folder, manifest = archive.unpack(where, check=check)
        if manifest is None:
            try:
                return _open_folder(folder, where, check=check)
            except BundleError:  # the zip is sound so far, so it is the cache that was damaged
                folder, manifest = archive.unpack(where, check=check, again=True)
        return Bundle(folder, manifest) if manifest else _open_folder(folder, where, check=check)


def _open_folder(folder: Path, where: Path, *, check: bool) -> Bundle:
    if not folder.is_dir():
        hint = "it is a file" if folder.exists() else "there is no such folder"
        raise BundleError(
            f"{where}: {hint}; expected a bundle folder or its .zip. Type: edgevit export MODEL --format onnx"
        )
    manifest = parse(_read_manifest(folder, where), where=str(where))
    for name, record in manifest.files.items():
        _check_file(folder, name, record, where=where, content=check)
    for name in _names_in(folder):
        if name != MANIFEST_NAME and name not in manifest.files and not is_dropping(name):
            raise unlisted_file(where, name)
    return Bundle(folder, manifest)


def _names_in(folder: Path) -> Iterator[str]:
    """Yield everything in a folder that is no folder, links to folders too."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from (f"{entry.name}/{name}" for name in _names_in(folder / entry.name))
            else:
                yield entry.name


def _read_manifest(folder: Path, where: Path) -> str:
    path = folder / MANIFEST_NAME
    if not path.is_file() or path.is_symlink():
        raise BundleError(f"{where}: there is no {MANIFEST_NAME} in it, so it is not a bundle.")
    most = archive.MANIFEST_LIMIT_BYTES
    if path.stat().st_size > most:
        raise BundleError(f"{where}: {MANIFEST_NAME} is larger than {most >> 20} MiB; no bundle's is.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise BundleError(f"{where}: {MANIFEST_NAME} cannot be read as UTF-8 text ({exc}).") from exc


def _check_file(folder: Path, name: str, record: FileRecord, *, where: Path, content: bool) -> None:
    path = folder / name
    inside = [folder.joinpath(*Path(name).parts[: n + 1]) for n in range(len(Path(name).parts))]
    if any(p.is_symlink() for p in inside):
        raise UnsafePathError(f"{where}: '{name}' is a symlink; a bundle holds plain files only.")
    if not path.is_file():
        raise BundleError(f"{where}: the manifest names '{name}', which is missing. Copy the whole folder again.")
    check_size(where, name, path.stat().st_size, record)
    if content:
        check_digest(where, name, sha256_of(path), record)


def seal(folder: Path, manifest: Manifest, out: str | Path, *, force: bool = False) -> Bundle:
    """Hash what lies in ``folder``, write the manifest, sync, and rename the folder to ``out``.

    Of two that are sealed under one name at once, one is refused; with ``force`` the later one stays. They never mix.
    """
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
            sync(folder / name)
        sync(folder)
        put_in_place(folder, target, force=force)
        sync(target.parent)
    except FileExistsError as exc:  # another export of that name was faster
        raise taken(target) from exc
    except OSError as exc:
        raise cannot_write(target, exc) from exc
    return Bundle(target, sealed)


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
        "proof": {name: graph.proven() for name, graph in m.graphs.items()},
        "passed": bool(m.verification.get("passed")),
    }
