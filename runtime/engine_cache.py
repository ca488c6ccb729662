"""Keep what a device builds from a bundle, in ``<bundle>.cache`` beside it: a sealed bundle itself never changes.

An engine is two files, ``<key>.engine`` and ``<key>.json``. The JSON is written last and says what the engine was built
of, for and with, and its sha256; an engine without one, or that is not the one it tells of, counts as absent. The hash
finds damage and mix-ups. It proves no origin: like any program, an engine runs with the rights of who loads it, so take
none from strangers; bundles never bring any.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgevit.errors import EnvironmentFault
from edgevit.progress import Progress, Step, silent

_FOLDER_SUFFIX = ".cache"
_KEY_DIGITS = 16


@dataclass(frozen=True)
class EngineKey:
    """Tell one engine from another: what it was built of, for which machine, by what, and how."""

    model_sha256: str
    gpu: str
    compute: str
    tensorrt: str
    precision: str = ""
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Return a name made of the whole key."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]

    def fits(self, told: Mapping[str, Any]) -> bool:
        """Tell whether an engine runs that model on this machine; how it was built is the builder's business."""
        return all(told.get(k) == getattr(self, k) for k in ("model_sha256", "gpu", "compute", "tensorrt"))


@dataclass(frozen=True)
class Found:
    """Hold an engine that is what its record says."""

    path: Path
    data: bytes
    record: Mapping[str, Any]


class EngineCache:
    """Read and write the engines of one bundle."""

    def __init__(self, bundle: Path) -> None:
        self.folder = bundle.absolute().with_name(bundle.absolute().name + _FOLDER_SUFFIX)

    def find(self, key: EngineKey) -> Found | None:
        """Return the newest engine that fits a model and this machine, however it was built.

        Records are looked through first: engines are large, boards are small, and one is enough.
        """
        newest_first = sorted(self._records(), key=_written_ns, reverse=True)
        fitting = (record for record in newest_first if key.fits(_told(record).get("key", {})))
        return next(filter(None, map(_read, fitting)), None)

    def holds_any(self) -> bool:
        """Tell whether anything was ever built here."""
        return any(self._records())

    def exact(self, key: EngineKey) -> Found | None:
        """Return the engine of a whole key."""
        found = _read(self.folder / f"{key.digest}.json")
        return found if found and found.record.get("key") == asdict(key) else None

    def others(self, key: EngineKey) -> str:
        """Say why what lies here does not do, or nothing where nothing lies here."""
        records = list(self._records())
        if not records:
            return ""
        told = [found.record.get("key", {}) for record in records if (found := _read(record))]
        if not told:
            return "the engine there is damaged"
        last = told[-1]
        if last.get("model_sha256") != key.model_sha256:
            return "the engine there was built of another file"
        return f"the engine there is for {last.get('gpu')} and TensorRT {last.get('tensorrt')}"

    def _records(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            yield from sorted(self.folder.glob("*.json"))

    def store(self, key: EngineKey, data: bytes, more: Mapping[str, Any]) -> Path:
        """Write an engine and its record, each whole or not at all."""
        path = self.folder / f"{key.digest}.engine"
        record = {"key": asdict(key), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), **more}
        write_whole(path, data)
        write_whole(path.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
        return path

    @contextlib.contextmanager
    def building(self, progress: Progress | None = None) -> Iterator[None]:
        """Let one process build at a time; another one waits here. The lock goes with the process that held it."""
        import fcntl

        try:
            self.folder.mkdir(exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as exc:
            raise _cannot_write(self.folder, exc) from exc
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                (progress or silent)(Step("wait for another build", str(self.folder)))
                fcntl.flock(handle, fcntl.LOCK_EX)
            for leftover in self.folder.glob(".*.part"):
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name, sync it, and rename it."""
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as part:
            try:
                part.write(data)
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).chmod(0o644)  # NamedTemporaryFile made it private
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as exc:
        raise _cannot_write(path, exc) from exc


def _cannot_write(path: Path, exc: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        f"{path}: cannot be written ({exc.strerror or exc}). Copy the bundle to a place where you may write."
    )


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # another process took it away
        return 0


def _told(record: Path) -> dict[str, Any]:
    """Return what a record says; nothing where it is damaged or no record."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        return told if isinstance(told["key"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _read(record: Path) -> Found | None:
    """Read an engine by its record, or None where either is absent, damaged, or of the other's kind."""
    told, path = _told(record), record.with_suffix(".engine")
    try:
        if not told or path.stat().st_size != told.get("bytes"):
            return None
        data = path.read_bytes()
        return Found(path, data, told) if hashlib.sha256(data).hexdigest() == told.get("sha256") else None
    except OSError:
        return None
