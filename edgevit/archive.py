"""Pack a bundle into a zip and unpack one without trusting it.

The manifest is read from the zip first. Only what it lists is extracted, and hashed on the way; a zip that fails any
check leaves nothing in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from .disk import CHUNK_BYTES, cannot_write, reading, sha256_of_stream
from .errors import BundleError, UnsafePathError, UsageError
from .manifest import Manifest, parse
from .names import MANIFEST_NAME, check_names, is_dropping
from .seals import check_digest, check_size, unlisted_file

MANIFEST_LIMIT_BYTES = 16 << 20
_MOST_FILES = 1000
_MOST_BYTES = 4 << 30
_MOST_RATIO = 200
"""Model weights hardly shrink; a member, or a whole, that swells more than this is a bomb."""
_RATIO_FLOOR_BYTES = 8 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError,
           KeyError, IndexError, OverflowError, OSError)  # fmt: skip
"""What zipfile raises on damaged files; NotImplementedError is a RuntimeError."""
_ADVICE = "Set EDGEVIT_CACHE to another folder"


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``$EDGEVIT_CACHE``, else the user's cache."""
    if chosen := os.environ.get("EDGEVIT_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit"


def pack(folder: Path, names: Iterable[str], target: Path, *, force: bool) -> None:
    """Write the named files into a zip; the same bundle always gives the same bytes."""
    if target.suffix.lower() != ".zip":
        raise UsageError(f"{target}: a packed bundle is opened by its suffix; expected a name that ends in .zip.")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}. Create it first.")
    if target.is_dir() or (target.exists() and not force):
        raise UsageError(f"{target} exists already. Choose another name, or say force=True to replace a file.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in names:
                _pack_file(zipped, folder / name, name)
        part.replace(target)
    except OSError as exc:
        raise cannot_write(target, exc, "Choose another place") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _pack_file(zipped: zipfile.ZipFile, file: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    with reading(file):
        info.file_size = file.stat().st_size
        source = file.open("rb")
    with source, zipped.open(info, "w") as sink:
        shutil.copyfileobj(source, sink, CHUNK_BYTES)


def unpack(path: Path, *, check: bool = True, again: bool = False) -> tuple[Path, Manifest | None]:
    """Check a zip, extract it to a cache folder keyed by its content, and return that folder.

    The manifest comes along if everything was extracted, and so checked, just now. ``again`` replaces what the cache
    holds. One handle is used throughout: the file that is hashed is the file that is read. Without ``check`` the
    checksums are left out, and the folder is another one, where nobody who wants them will find it.
    """
    with contextlib.ExitStack() as stack:
        with reading(path):
            stream = stack.enter_context(path.open("rb"))
            key = sha256_of_stream(stream)[:32]
            target = cache_dir() / "bundles" / (key if check else f"{key}-unchecked")
            size_bytes = stream.tell()
        with _translating(path):
            zipped = stack.enter_context(zipfile.ZipFile(stream))
            members = _checked(zipped, path, size_bytes)
            text = _read(zipped, members[MANIFEST_NAME], path).decode("utf-8")
        manifest = parse(text, where=str(path))
        _check_listed(members, manifest, path)
        if not again and (target / MANIFEST_NAME).is_file():
            return target, None
        if again:
            shutil.rmtree(target, ignore_errors=True)
        _extract(zipped, {name: members[name] for name in manifest.files}, manifest, text, target, path, check=check)
    return target, manifest


@contextlib.contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as exc:
        raise BundleError(f"{path}: not a readable zip file ({exc or type(exc).__name__}). Copy it again.") from exc


def _checked(zipped: zipfile.ZipFile, path: Path, size_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, unless something about them is not as in a bundle."""
    members = [m for m in zipped.infolist() if not m.is_dir()]
    names = [m.filename for m in members]
    try:
        check_names([n for n in names if n != MANIFEST_NAME])
        check_names([m.filename.rstrip("/") for m in zipped.infolist() if m.is_dir()])
    except UnsafePathError as exc:
        raise UnsafePathError(f"{path}: {exc}") from exc
    if len(members) > _MOST_FILES:
        raise BundleError(f"{path}: it holds {len(members)} files; no bundle holds more than {_MOST_FILES}.")
    if names.count(MANIFEST_NAME) != 1:
        raise BundleError(f"{path}: there is no {MANIFEST_NAME} at its top, so it is not a bundle.")
    for member in members:
        _check_member(member, path)
    whole = sum(m.file_size for m in members)
    if whole > _MOST_BYTES or _is_swollen(whole, size_bytes):  # of the zip itself: members may share their bytes
        raise BundleError(f"{path}: it would grow to {whole >> 20} MiB; it is refused as a zip bomb.")
    if zipped.getinfo(MANIFEST_NAME).file_size > MANIFEST_LIMIT_BYTES:
        raise BundleError(f"{path}: its {MANIFEST_NAME} is larger than any bundle's.")
    return {m.filename: m for m in members}


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    mode = member.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise UnsafePathError(f"{path}: '{member.filename}' is a link or a device; a bundle holds plain files only.")
    if member.flag_bits & 0x1:
        raise BundleError(f"{path}: '{member.filename}' is encrypted; a bundle is not.")
    if member.compress_type not in _METHODS:
        raise BundleError(f"{path}: '{member.filename}' is packed by a method other than store or deflate.")
    if _is_swollen(member.file_size, member.compress_size):
        raise BundleError(
            f"{path}: '{member.filename}' would grow {_MOST_RATIO} times or more; it is refused as a zip bomb."
        )


def _is_swollen(size_bytes: int, packed_bytes: int) -> bool:
    return size_bytes > _RATIO_FLOOR_BYTES and size_bytes > _MOST_RATIO * max(packed_bytes, 1)


def _check_listed(members: dict[str, zipfile.ZipInfo], manifest: Manifest, path: Path) -> None:
    for name, record in manifest.files.items():
        if name not in members:
            raise BundleError(f"{path}: the manifest names '{name}', which is missing. Copy the zip again.")
        check_size(path, name, members[name].file_size, record)
    for name in members:
        if name != MANIFEST_NAME and name not in manifest.files and not is_dropping(name):
            raise unlisted_file(path, name)


def _extract(
    zipped: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    manifest: Manifest,
    text: str,
    target: Path,
    path: Path,
    *,
    check: bool,
) -> None:
    """Write the members beside ``target`` and rename the whole, so that the cache never holds a part of a bundle."""
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        for name, member in members.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            with (part / name).open("xb") as sink:
                digest = _copy(zipped, member, sink, path)
            if check:
                check_digest(path, name, digest, manifest.files[name])
        (part / MANIFEST_NAME).write_bytes(text.encode("utf-8"))
        try:
            part.rename(target)
        except OSError:  # another process was first; its content is the same
            if not (target / MANIFEST_NAME).is_file():
                raise
    except OSError as exc:
        raise cannot_write(target.parent, exc, _ADVICE) from exc
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def _copy(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, sink: BinaryIO, path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(zipped, member, path):
        digest.update(chunk)
        sink.write(chunk)
    return digest.hexdigest()


def _read(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    return b"".join(_chunks(zipped, member, path))


def _chunks(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Iterator[bytes]:
    """Yield a member's content; it may not be longer than its entry says. Its errors are told apart from the sink's."""
    left = member.file_size
    with _translating(path):
        source = zipped.open(member)
    with source:
        while True:
            with _translating(path):
                chunk = source.read(CHUNK_BYTES)
            left -= len(chunk)
            if left < 0:
                raise BundleError(f"{path}: '{member.filename}' is larger than its entry says; it is refused.")
            if not chunk:
                return
            yield chunk
