"""Hold what a session runs until it is closed: the beginning and the ending that all sessions share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import EngineError, InputError
from edgevit.manifest import Manifest

from .frame import Frame, Pixels
from .sources import Source, let_go, open_source

_FLAT = ("gray", "nv12", "i420")
"""Formats whose picture is an array of two dimensions."""

PATIENCE_S = 10.0
"""How long closing waits for an answer that is being made."""

Frames = Source | Iterable[Frame | Pixels] | str | os.PathLike[str] | int


class Closable(Protocol):
    """Give memory back."""

    def close(self) -> None:
        """Do it; what was closed is not used again."""


Held = TypeVar("Held", bound=Closable)
Own = TypeVar("Own", bound="Opened[Any]")


class Opened(Generic[Held]):
    """Be a context manager around one engine, or several. Calls from several threads take turns."""

    def __init__(self, bundle: Bundle, held: Held, engine_description: str) -> None:
        self.bundle = bundle
        self.engine_description = engine_description
        self._turn = threading.Lock()
        # A list, since several sessions may run the same engines: who closes one of them closes all.
        self._held = [held]

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    @property
    def name(self) -> str:
        """How a ledger calls it."""
        m = self.manifest
        return f"{m.model}-{m.format}-{m.precision}"

    def _open(self) -> Held:
        """Return what is held; whoever calls this has the turn."""
        if not self._held:
            raise EngineError("The session was closed; load the bundle again.")
        return self._held[0]

    def close(self) -> None:
        """Give the engines' memory back. One that does not return for long is left behind: it cannot be ended."""
        if not self._turn.acquire(timeout=PATIENCE_S):
            return
        try:
            while self._held:
                self._held.pop().close()
        finally:
            self._turn.release()

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        m = self.manifest
        state = "" if m.trained else ", UNTRAINED"
        return f"{type(self).__name__}({m.model}, {m.format} {m.precision}, {self.engine_description}{state})"


@contextmanager
def opened_frames(source: Frames) -> Iterator[Iterable[Frame | Pixels]]:
    """Open a URI, or take what yields frames as it is; what can be closed is closed at the end."""
    opened = open_source(source) if isinstance(source, (str, int, os.PathLike)) else source
    try:
        yield opened
    finally:
        let_go(opened)


def checked_frames(source: Any, color: str | None = None) -> Frames:
    """Return what can be looped over, or say what to type for what people have in their hands instead."""
    if isinstance(source, int) and not isinstance(source, bool) and source < 0:
        raise InputError(f"A camera's number is 0 or more, not {source}. Type: session.stream(0)")
    if isinstance(source, Frame):
        raise InputError("A Frame is one picture, and a stream has many. Type: session(frame)")
    if isinstance(source, np.ndarray) and source.ndim < (3 if color in _FLAT else 4):
        raise InputError(
            f"An array is one picture, and a stream has many. Type: session(array, color={color or 'rgb'!r})"
        )
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, os.PathLike)):
        raise InputError(
            "A list of names is no source. Name a folder or a pattern ('holiday/*.jpg'), or take one after the other: "
            f"session.stream({os.fspath(source[0])!r})"
        )
    if isinstance(source, (bool, bytes)) or not isinstance(source, (str, int, os.PathLike, Iterable)):
        raise InputError(
            f"A source is a name (a picture, a folder, a video, a stream), a camera's number, or frames, not "
            f"{type(source).__name__}. Type: session.stream('clip.mp4')"
        )
    return source
