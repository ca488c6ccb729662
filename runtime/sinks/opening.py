"""Choose the kind of a sink by its URI, and open it: for one source, or for several.

Opening looks whether the place can be written, and makes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgevit.errors import UnsupportedError, UsageError
from edgevit.pictures import WRITABLE_SUFFIXES
from edgevit.registry import Registry

from .labels import beside, labels_of
from .places import path_of, refuse_inputs, refuse_twice
from .protocol import Sink
from .several import OfSource

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
"""Every module has ``sink_of(place, kind, names) -> Sink``; the names of the sources are there if there are several."""

WRITABLE = (
    "a folder for annotated pictures, one picture (.jpg .png …), a video (.mp4 .m4v .mov .mkv), JSON lines (.jsonl, or "
    "- for the standard output), rows (.csv), window:// and null://"
)

_OWN = frozenset({"video", "pictures", "picture"})
"""Kinds of which each source gets its own."""

_WHOLE = {"-": "jsonl", "window://": "window", "null://": "null"}
_BY_SUFFIX = {
    **dict.fromkeys(WRITABLE_SUFFIXES, "picture"),
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), "video"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".csv": "csv",
}


def open_sink(uri: str | os.PathLike[str], *, kind: str | None = None) -> Sink:
    """Open an output; ``kind`` (a name of ``KINDS``) wins over what the suffix says."""
    (sink,) = open_sinks(uri, kind=kind)
    return sink


def open_sinks(
    uri: str | os.PathLike[str], sources: Sequence[str] = (), *, kind: str | None = None
) -> tuple[Sink, ...]:
    """Open an output of a run with these sources, which are named as the ledger names them.

    Of several each gets a film (``seen.mkv`` becomes ``seen-hall.mkv``), a folder or a picture of its own, as a sink of
    its own. Lines and rows stay together and say of which source each is; windows share a sink and open one by one.
    """
    if not isinstance(uri, (str, os.PathLike)):
        raise UsageError(f"An output is named by words, not {uri!r}. Type: open_sink('answers.jsonl')")
    place = os.fspath(uri).removeprefix("file://")
    chosen = kind or kind_of(place)
    open_one = KINDS.load(chosen).sink_of
    if chosen not in _OWN or len(sources) < 2:
        sink: Sink = open_one(place, chosen, tuple(sources) if len(sources) > 1 else ())
        return (sink,)
    parts = parts_of(place, sources, kind=chosen)
    for part in parts:
        refuse_inputs(path_of(part), sources)  # nobody typed these names
    return tuple(OfSource(open_one(part, chosen, ()), lane) for lane, part in enumerate(parts))


def parts_of(place: str, sources: Sequence[str], *, kind: str | None = None) -> tuple[str, ...]:
    """Return where each source's own part of an output goes; the place itself where it is not divided."""
    chosen = kind or kind_of(place)
    if chosen not in _OWN or len(sources) < 2:
        return (place,)
    labels = labels_of(sources)
    return tuple(str(Path(place, label)) if chosen == "pictures" else beside(place, label) for label in labels)


def check_outputs(outputs: Iterable[str | os.PathLike[str]], sources: Sequence[str] = ()) -> None:
    """Raise if one of them cannot be, or two are the same: before a camera is opened, and again with its name."""
    places = [os.fspath(output).removeprefix("file://") for output in outputs]
    refuse_twice(places)
    refuse_twice(part for place in places for part in parts_of(place, sources))
    for place in places:
        for sink in open_sinks(place, sources):
            sink.close()


def kind_of(place: str) -> str:
    """Return the kind of an output. What has no suffix is a folder, and so is what ends in a slash."""
    if place in _WHOLE:
        return _WHOLE[place]
    if not place or "://" in place:
        raise UnsupportedError(f"This version does not write to {place!r}. It writes {WRITABLE}.")
    path = Path(place)
    suffix = path.suffix.lower()
    try:
        if place.endswith(("/", os.sep)) or path.is_dir() or not suffix:
            return "pictures"
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror or exc}. Name another output.") from exc
    if suffix not in _BY_SUFFIX:
        raise UnsupportedError(
            f"It is not clear what to write to {place}: '{suffix}' is no suffix that is known here. This version "
            f"writes {WRITABLE}. For a folder of that name type: {place}/"
        )
    return _BY_SUFFIX[suffix]
