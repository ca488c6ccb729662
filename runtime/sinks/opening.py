"""Choose the kind of a sink by its URI, and open it."""

from __future__ import annotations

import os
from pathlib import Path

from edgevit.errors import UnsupportedError
from edgevit.pictures import WRITABLE_SUFFIXES
from edgevit.registry import Registry

from .protocol import Sink

KINDS = Registry(
    "kind of output",
    {
        "pictures": "edgevit.runtime.sinks.pictures",
        "picture": "edgevit.runtime.sinks.pictures",
        "video": "edgevit.runtime.sinks.video",
        "jsonl": "edgevit.runtime.sinks.jsonl",
        "csv": "edgevit.runtime.sinks.csv_rows",
        "window": "edgevit.runtime.sinks.window",
        "null": "edgevit.runtime.sinks.null",
    },
    ask="edgevit predict --help",
)
"""Every module has ``sink_of(place, kind) -> Sink``."""

WRITABLE = (
    "a folder for annotated pictures, one picture (.jpg .png …), a video (.mp4 .m4v .mov .mkv), JSON lines (.jsonl, or "
    "- for the standard output), rows (.csv), window:// and null://"
)

_WHOLE = {"-": "jsonl", "window://": "window", "null://": "null"}
_BY_SUFFIX = {
    **dict.fromkeys(WRITABLE_SUFFIXES, "picture"),
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), "video"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".csv": "csv",
}


def open_sink(uri: str | os.PathLike[str], *, kind: str | None = None) -> Sink:
    """Open an output; ``kind`` (a name of ``KINDS``) wins over what the suffix says."""
    place = os.fspath(uri)
    if place.startswith("file://"):
        place = place[len("file://") :]
    chosen = kind or kind_of(place)
    sink: Sink = KINDS.load(chosen).sink_of(place, chosen)
    return sink


def kind_of(place: str) -> str:
    """Return the kind of an output. What has no suffix is a folder, and so is what ends in a slash."""
    if place in _WHOLE:
        return _WHOLE[place]
    if not place or "://" in place:
        raise UnsupportedError(f"This version does not write to {place!r}. It writes {WRITABLE}.")
    path = Path(place)
    suffix = path.suffix.lower()
    if place.endswith(("/", os.sep)) or path.is_dir() or not suffix:
        return "pictures"
    if suffix not in _BY_SUFFIX:
        raise UnsupportedError(
            f"It is not clear what to write to {place}: '{suffix}' is no suffix that is known here. This version "
            f"writes {WRITABLE}. For a folder of that name type: {place}/"
        )
    return _BY_SUFFIX[suffix]
