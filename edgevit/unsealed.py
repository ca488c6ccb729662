"""Give a bundle a folder to be built in, beside its place, and sweep what killed processes left there.

``.NAME.xxxxxxxx.part`` is locked while its owner lives; the system takes the lock back however that one ends. In it
``unsealed`` becomes the bundle, and ``unsealed.old`` is, for the moment of a replacement, the bundle that it replaces.
Where a file system has no locks nothing is swept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .disk import cannot_write, is_our_write, older_of
from .errors import UsageError
from .names import MANIFEST_NAME

_NEW = "unsealed"
_SUFFIX = ".part"
_RANDOM = "?" * 8
"""What mkdtemp puts into a name."""


@contextlib.contextmanager
def staging(out: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder beside ``out`` to build a bundle in; it is removed unless it was sealed.

    ``out`` is checked first, so that a long export does not end in "already exists". An error of writing there is said
    in words; one that is about another file passes as it is.
    """
    target = Path(out)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        check_out(target, force=force)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_SUFFIX, dir=target.parent))
    except OSError as exc:
        raise cannot_write(target, exc) from exc
    with _lock(place):  # what is swept holds ``unsealed``, so nobody takes this one before it is locked
        folder = place / _NEW
        try:
            folder.mkdir()
            yield folder
        except OSError as exc:
            if is_our_write(exc, place, target):
                raise cannot_write(target, exc) from exc
            raise
        finally:
            shutil.rmtree(place, ignore_errors=True)


def check_out(target: Path, *, force: bool) -> None:
    """Refuse an output folder that exists, unless it is a bundle (or empty) and may be replaced."""
    if not (target.exists() or target.is_symlink()):
        return
    if not force:
        raise taken(target)
    is_bundle = (target / MANIFEST_NAME).is_file()
    replaceable = target.is_dir() and not target.is_symlink() and (is_bundle or not any(target.iterdir()))
    if not replaceable:
        raise UsageError(f"{target} is not a bundle; --force replaces bundles only. Choose another --out.")


def taken(target: Path) -> UsageError:
    """Say that there is something under the name already."""
    return UsageError(f"{target} exists already. Choose another --out, or type --force to replace it.")


def sweep(parent: Path) -> None:
    """Remove what owners that are gone left in a folder; a bundle that one of them had set aside goes back first."""
    for left in parent.glob(f".*.{_RANDOM}{_SUFFIX}"):
        new, old = left / _NEW, older_of(left / _NEW)
        if left.is_symlink() or not (new.is_dir() or old.is_dir()):
            continue  # not ours, or not yet
        with _lock(left) as ours:
            if not ours:
                continue
            target = parent / left.name[1 : -len(_RANDOM) - len(_SUFFIX) - 1]
            if old.is_dir() and not target.exists():
                old.rename(target)
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock, and say whether it could be had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
