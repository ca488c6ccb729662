"""Touch the disk for bundles: hash, sync, put a folder in place, and say in words what could not be read or written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import BundleError, EnvironmentFault

CHUNK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_TRIES = 10
"""Each try fails only when another process has put its own bundle there in between."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def sha256_of(path: Path) -> str:
    """Hash a file without reading it whole."""
    with path.open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: BinaryIO) -> str:
    """Hash what is left of an open file."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def older_of(folder: Path) -> Path:
    """Return where the folder that a new one replaces stands for the moment: beside the new one."""
    return folder.with_name(f"{folder.name}.old")


def put_in_place(folder: Path, target: Path, *, force: bool) -> None:
    """Rename a new folder to its final name. ``FileExistsError`` if that is taken.

    With ``force`` an older folder steps aside first and is removed last. A rename never replaces a folder with
    something in it, so of several processes one is first, and the others see it.
    """
    old = older_of(folder)
    for _ in range(_TRIES):
        if force:
            _step_aside(target, old)
        try:
            folder.rename(target)
        except OSError as exc:
            if old.exists() and not target.exists():
                old.rename(target)
            if exc.errno not in _TAKEN:
                raise
        else:
            shutil.rmtree(old, ignore_errors=True)
            return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _step_aside(target: Path, old: Path) -> None:
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            target.rename(old)


def _full_temporary(target: Path) -> str | None:
    """Return the temporary folder if it is that one which is full: converters write there too, and name no file."""
    temporary = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        if shutil.disk_usage(temporary).free < CHUNK_BYTES <= shutil.disk_usage(target.parent).free:
            return temporary
    return None


def cannot_write(target: Path, exc: OSError, advice: str = "Choose another --out") -> EnvironmentFault:
    """Say why a place cannot be written."""
    if exc.errno in _FULL and (temporary := _full_temporary(target)):
        return EnvironmentFault(f"{temporary}: no space left in the temporary folder. Free some, or set TMPDIR.")
    if exc.errno in _FULL:
        return EnvironmentFault(f"{target}: no space left on the device. Free some, or: {advice}.")
    if exc.errno in _FORBIDDEN:
        return EnvironmentFault(f"{target}: not allowed to write there ({exc.strerror}). {advice}.")
    return EnvironmentFault(f"{target}: cannot be written ({exc.strerror or exc}). {advice}.")


@contextlib.contextmanager
def reading(where: Path) -> Iterator[None]:
    """Translate what goes wrong while a bundle is read."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FORBIDDEN:
            raise EnvironmentFault(
                f"{where}: not allowed to read it ({exc.strerror}). Give yourself the right."
            ) from exc
        raise BundleError(f"{where}: cannot be read ({exc.strerror or exc}). Copy the bundle again.") from exc


def is_our_write(exc: OSError, folder: Path, target: Path) -> bool:
    """Tell whether an error is about what is being written (``folder`` becomes ``target``), not about some input.

    A full disk is always about writing; else the file that the error names must be the folder, the target, a file in
    them, or one that lies beside the target under a name made of the target's.
    """
    if exc.errno in _FULL:
        return True
    if not isinstance(exc.filename, (str, os.PathLike)):
        return False
    named, beside = Path(os.path.abspath(exc.filename)), Path(os.path.abspath(target))  # noqa: PTH100 - not resolved
    if named == beside.parent:
        return True
    first = named.relative_to(beside.parent).parts[0] if named.is_relative_to(beside.parent) else ""
    return first in (folder.name, beside.name) or first.startswith((f"{beside.name}.", f".{beside.name}."))
