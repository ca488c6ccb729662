"""Pack a bundle into a zip and unpack one without trusting it: all checks come before the first byte is written."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .errors import BundleError, UnsafePathError
from .manifest import MANIFEST_NAME, check_names

_MOST_FILES = 1000
_MOST_BYTES = 4 << 30
_MOST_RATIO = 200
"""Model weights hardly shrink; a member that swells more than this is a bomb."""
_RATIO_FLOOR_BYTES = 8 << 20
_CHUNK_BYTES = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``$EDGEVIT_CACHE``, else the user's cache."""
    if chosen := os.environ.get("EDGEVIT_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit"


def pack(folder: Path, names: Iterable[str], target: Path) -> None:
    """Write the named files into a zip; the same bundle always gives the same bytes."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in names:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                zipped.writestr(info, (folder / name).read_bytes())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def unpack(path: Path, manifest_limit_bytes: int) -> Path:
    """Check a zip, extract it to a cache folder keyed by its content, and return that folder."""
    try:
        with zipfile.ZipFile(path) as zipped:
            members = _checked(zipped, path, manifest_limit_bytes)
            target = cache_dir() / "bundles" / _key(path)
            if not (target / MANIFEST_NAME).is_file():
                _extract(zipped, members, target, path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BundleError(f"{path}: not a readable zip file ({exc}). Copy it again.") from exc
    return target


def _checked(zipped: zipfile.ZipFile, path: Path, manifest_limit_bytes: int) -> list[zipfile.ZipInfo]:
    members = [m for m in zipped.infolist() if not m.is_dir()]
    names = [m.filename for m in members]
    try:
        check_names([n for n in zipped.namelist() if n != MANIFEST_NAME and not n.endswith("/")])
        check_names([m.filename.rstrip("/") for m in zipped.infolist() if m.is_dir()])
    except UnsafePathError as exc:
        raise UnsafePathError(f"{path}: {exc}") from exc
    if len(members) > _MOST_FILES:
        raise BundleError(f"{path}: it holds {len(members)} files; no bundle holds more than {_MOST_FILES}.")
    if names.count(MANIFEST_NAME) != 1:
        raise BundleError(f"{path}: there is no {MANIFEST_NAME} at its top, so it is not a bundle.")
    for member in members:
        _check_member(member, path)
    if sum(m.file_size for m in members) > _MOST_BYTES:
        raise BundleError(f"{path}: it would grow to more than {_MOST_BYTES >> 30} GiB; it is refused as a zip bomb.")
    if zipped.getinfo(MANIFEST_NAME).file_size > manifest_limit_bytes:
        raise BundleError(f"{path}: its {MANIFEST_NAME} is larger than any bundle's.")
    return members


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    mode = member.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise UnsafePathError(f"{path}: '{member.filename}' is a link or a device; a bundle holds plain files only.")
    if member.flag_bits & 0x1:
        raise BundleError(f"{path}: '{member.filename}' is encrypted; a bundle is not.")
    if member.compress_type not in _METHODS:
        raise BundleError(f"{path}: '{member.filename}' is packed by a method other than store or deflate.")
    swollen = member.file_size > _RATIO_FLOOR_BYTES and member.file_size > _MOST_RATIO * max(member.compress_size, 1)
    if swollen:
        raise BundleError(
            f"{path}: '{member.filename}' would grow {_MOST_RATIO} times or more; it is refused as a zip bomb."
        )


def _extract(zipped: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        for member in members:
            _write_member(zipped, member, part / member.filename, path)
        try:
            part.rename(target)
        except OSError:  # another process was first; its content is the same
            if not (target / MANIFEST_NAME).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_member(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, path: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with zipped.open(member) as source, file.open("xb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise BundleError(f"{path}: '{member.filename}' is larger than its entry says; it is refused.")
            sink.write(chunk)


def _key(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()[:32]
