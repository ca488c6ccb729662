"""Say which target is whose: boxes go to sources in the order of both, or to those that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevit.errors import UsageError
from edgevit.runtime import Frame
from edgevit.runtime.boxes import Box, Place
from edgevit.runtime.track_clips import box_in_name


@dataclass(frozen=True)
class Aim:
    """Hold a target's box in the first frame of a source; ``source`` is its name, or a part that no other's has."""

    box_xywh: Box
    source: str = ""


def aimed(aims: Sequence[Aim], sources: Sequence[str], *, known: bool = True) -> list[list[Place]]:
    """Return the places of each source's targets. A source without an aim must know its own, as built-in clips do.

    With ``known`` False it has none.
    """
    places: list[list[Place]] = [[] for _ in sources]
    nameless = [aim for aim in aims if not aim.source]
    if len(nameless) > len(sources) > 1:
        raise UsageError(f"{len(nameless)} boxes were given for {len(sources)} sources. Type: --box name=x,y,w,h")
    for number, aim in enumerate(nameless):
        places[min(number, len(sources) - 1)].append(_corners(aim.box_xywh))
    for aim in aims:
        if aim.source:
            places[_named(aim.source, sources)].append(_corners(aim.box_xywh))
    return [found or ([_known] if known else []) for found in places]


def _named(word: str, sources: Sequence[str]) -> int:
    for fits in (str.__eq__, str.__contains__):
        found = [number for number, name in enumerate(sources) if fits(name, word)]
        if len(found) == 1:
            return found[0]
    several = "several sources have" if found else "no source has"
    asked = "Type a box for each source in their order: --box x,y,w,h" if found else "Type: --box NAME=x,y,w,h"
    raise UsageError(f"A box is for '{word}', and {several} that in their name; they are {', '.join(sources)}. {asked}")


def _corners(box_xywh: Box) -> Box:
    x, y, w, h = box_xywh
    return x, y, x + w, y + h


def _known(frame: Frame) -> Box:
    """Return the box that a built-in clip says in its frames' names."""
    if (box := box_in_name(frame.source)) is None:
        where = f" in {frame.source}" if frame.source else ""
        raise UsageError(f"What shall be followed{where}? Type: --box x,y,width,height (in the first frame)")
    return _corners(box)
