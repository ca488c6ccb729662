"""Open the bundles of a folder and answer for pictures with them; what cannot be served is told, the rest is served.

They are opened at the start: then a mistake is told to who starts the server, memory is known before anybody asks, and
no request is the slow first one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.decoders import decode
from edgevit.errors import BundleError, EdgevitError, InputError
from edgevit.manifest import MANIFEST_NAME
from edgevit.runtime import Frame, load

from .desk import Desk
from .kinds import check_kind

MOST_PIXELS = 50_000_000
"""150 MB of RGB: what a phone's camera takes, but for the largest of them."""
_CLOSING_S = 5.0
_TRACKS = (
    "it follows a target from picture to picture, and a request knows no earlier one. Type: edgevit run {} SOURCE "
    "--box x,y,width,height"
)


@dataclass(frozen=True)
class Asked:
    """Hold one picture that came."""

    data: bytes
    asked_ns: int


@dataclass(frozen=True)
class Answered:
    """Hold the answer as JSON data, and the milliseconds of what its ``speed`` does not tell."""

    data: dict[str, Any]
    waited_ms: float
    decoded_ms: float


class Served:
    """Hold one bundle with its engine and the queue before it."""

    def __init__(self, name: str, bundle: Bundle, session: Any, depth: int) -> None:
        self.name, self.bundle, self.engine = name, bundle, str(session.engine_description)
        self._session, self._count = session, 0
        self.desk: Desk[Asked, Answered] = Desk(name, self._answer, depth=depth)

    def _answer(self, asked: Asked) -> Answered:
        began_ns = time.monotonic_ns()
        check_kind(asked.data)
        pixels = decode(asked.data, "in the body", max_pixels=MOST_PIXELS)
        decoded_ns = time.monotonic_ns()
        frame = Frame(pixels, "rgb", asked.asked_ns, self._count, "http")
        self._count += 1
        data = self._session(frame).to_dict()
        return Answered(data, (began_ns - asked.asked_ns) / 1e6, (decoded_ns - began_ns) / 1e6)

    def close(self) -> None:
        """Send away who waits, and give the engine's memory back; an engine that hangs is left behind."""
        if self.desk.close(_CLOSING_S):
            self._session.close()


@dataclass(frozen=True)
class Shelf:
    """Hold what is served, and the sentences of what is not, by name."""

    served: dict[str, Served]
    refused: dict[str, str]

    def close(self) -> None:
        """Close all of them."""
        for one in self.served.values():
            one.close()


def open_shelf(
    place: Path,
    *,
    depth: int,
    name: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    opened: Callable[[Served], object] | None = None,
) -> Shelf:
    """Open all bundles of a folder, or the one that the path is, under a ``name`` of its own if there is one.

    ``opened`` hears of each one that is ready.
    """
    shelf = Shelf({}, {})
    try:
        for path in bundles_at(place):
            key = name or (path.stem if path.suffix.lower() == ".zip" else path.name)
            if key in shelf.served or key in shelf.refused:
                shelf.refused.setdefault(path.name, f"another bundle is named '{key}'; rename one of them.")
                continue
            try:
                shelf.served[key] = _open(key, path, depth, engine=engine, threads=threads, precision=precision)
            except (EdgevitError, OSError) as exc:
                shelf.refused[key] = str(exc).replace(f"{path.parent}/", "")
            else:
                if opened is not None:
                    opened(shelf.served[key])
        if not shelf.served:
            told = " ".join(f"{key}: {why}" for key, why in shelf.refused.items())
            raise BundleError(f"Nothing in {place} can be served. {told}")
    except BaseException:
        shelf.close()
        raise
    return shelf


def bundles_at(place: Path) -> tuple[Path, ...]:
    """Return where bundles seem to lie: the path itself, or what a folder holds, in the order of their names."""
    if place.is_file() or (place / MANIFEST_NAME).is_file():
        return (place,)
    if not place.is_dir():
        raise InputError(
            f"There is no folder {place}. Type: edgevit serve DIR, with the folder that holds the bundles."
        )
    found = sorted(
        path
        for path in place.iterdir()
        if not path.name.startswith(".") and (path.suffix.lower() == ".zip" or (path / MANIFEST_NAME).is_file())
    )
    if not found:
        raise InputError(f"There is no bundle in {place}. Type: edgevit export MODEL --format onnx --out {place}/MODEL")
    return tuple(found)


def _open(name: str, path: Path, depth: int, **options: Any) -> Served:
    bundle = open_bundle(path)
    if bundle.manifest.task == "track":
        raise InputError(_TRACKS.format(name))
    session = load(bundle, **options)
    try:
        session.warmup(1)
    except BaseException:
        session.close()
        raise
    return Served(name, bundle, session, depth)
