"""Keep what TensorRT timed in a build for the next one: worth minutes, and never worth an engine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgevit.errors import EnvironmentFault, UsageError

from ..engine_cache import write_whole


def check_place(path: Path) -> None:
    """Raise unless a file that the user named can be written, before the minutes of a build."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; timings are kept in a file. Type: --timing-cache {path / 'timings.bin'}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder for the timings. Type: mkdir -p {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as exc:
        raise EnvironmentFault(
            f"{path.parent}: nothing can be written there ({exc.strerror or exc}). Name another --timing-cache."
        ) from exc


def read(path: Path) -> bytes:
    """Return what earlier builds timed; nothing where that cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def keep(path: Path, timings: bytes) -> str:
    """Write what was timed, and return why that failed, if it did: the engine stands without it."""
    if not timings:
        return ""
    try:
        write_whole(path, timings)
    except EnvironmentFault as fault:
        return f"The timings were not kept, so the next build takes as long: {fault}"
    return ""
