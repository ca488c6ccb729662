"""Open the bundles of a folder and answer for pictures with them; what cannot be served is told, the rest is served.

They are opened at the start: then a mistake is told to who starts the server, memory is known before anybody asks, and
no request is the slow first one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevit.bundle import Bundle, open_bundle
from edgevit.decoders import decode
from edgevit.errors import BundleError, EdgevitError, InputError
from edgevit.manifest import MANIFEST_NAME
from edgevit.registry import door
from edgevit.runtime import Frame, load
from edgevit.runtime.frame import Pixels

from ..web.shares import Shares
from .desk import Desk, FullError
from .kinds import check_kind

MOST_PIXELS = 50_000_000
"""150 MB of RGB: what a phone's camera takes, but for the largest of them."""
_MOST_ARRIVING = 2
"""Bodies that may be read at once, in depths of the queue."""
_CLOSING_S = 5.0


@dataclass(frozen=True)
class Asked:
    """Hold one picture that came, and from whom; ``wish`` is what stood behind the question mark."""

    data: bytes
    asked_ns: int
    client: str
    wish: Mapping[str, str] = field(default_factory=dict)


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
        self._arriving: Shares[asyncio.Future[bytes]] = Shares(_MOST_ARRIVING * depth)
        self.desk: Desk[Asked, Answered] = Desk(name, self._answer, depth=depth)

    @property
    def limits(self) -> str:
        """Say what else than the server's own limits a client may run into."""
        return ""

    async def arrived(self, client: str, body: Coroutine[Any, Any, bytes]) -> bytes:
        """Return a body when all of it is here, or raise ``FullError``.

        What is read is in memory, so that as many may be under way and no more. They are shared out: who sends many
        slowly keeps nobody else from sending.
        """
        if self._arriving.full_for(client):
            body.close()
            raise FullError(self.name, 1.0)
        reading = asyncio.ensure_future(body)
        if (leaving := self._arriving.enter(client, reading)) is not None:
            leaving.cancel()
        try:
            await asyncio.wait((reading,))
        finally:
            self._arriving.leave(reading)
            reading.cancel()
        if reading.cancelled():
            raise FullError(self.name, 1.0)
        return reading.result()

    def _answer(self, asked: Asked) -> Answered:
        began_ns = time.monotonic_ns()
        check_kind(asked.data)
        pixels = decode(asked.data, "in the body", max_pixels=MOST_PIXELS)
        decoded_ns = time.monotonic_ns()
        data = self._told(pixels, asked)
        return Answered(data, (began_ns - asked.asked_ns) / 1e6, (decoded_ns - began_ns) / 1e6)

    def _told(self, pixels: Pixels, asked: Asked) -> dict[str, Any]:
        frame = Frame(pixels, "rgb", asked.asked_ns, self._count, "http")
        self._count += 1
        told: dict[str, Any] = self._session(frame).to_dict()
        return told

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
            if not key.isprintable():  # it would break lines, or could not be written as UTF-8
                shelf.refused[ascii(key)[1:-1]] = "its name has letters that cannot be shown; rename it."
                continue
            if key in shelf.served or key in shelf.refused:
                shelf.refused.setdefault(path.name, f"another bundle is named '{key}'; rename one of them.")
                continue
            try:
                shelf.served[key] = _open(key, path, depth, engine=engine, threads=threads, precision=precision)
            except (EdgevitError, OSError) as exc:
                shelf.refused[key] = str(exc).replace(f"{path.parent}/", "").removeprefix(f"{path.name}: ")
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
    session = load(bundle, **options)
    try:
        session.warmup(1)
    except BaseException:
        session.close()
        raise
    kind: type[Served] = (
        Served if bundle.manifest.task == "classify" else door("edgevit.apps.serve.following:Following")
    )
    return kind(name, bundle, session, depth)
