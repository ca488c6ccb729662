"""Decide which cells are run, and in which order: what a run cut short leaves should still cover the whole table."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgevit.errors import UnsupportedError, UsageError
from edgevit.formats import FORMATS, PRECISIONS, find_format
from edgevit.proven import Cell
from edgevit.registry import MODELS, unknown_name

from .models import Entry, entries

Key = tuple[str, str, str]
"""Model, format, precision."""

_EVERY_MODEL = ("fp32", "fp16")
_GLOB = frozenset("*?[")
_SHUFFLE_SEED = 3
_SLOWEST_S = 60.0
"""A cell that took longer is not for the rotation: ten of them would keep everybody waiting."""


@dataclass(frozen=True)
class Work:
    """Hold the cells of one model, which share its process: (format, precision) in the order of their proof."""

    model: str
    cells: tuple[tuple[str, str], ...]


def plan(models: Sequence[str] = (), formats: Sequence[str] = (), precisions: Sequence[str] = ()) -> tuple[Key, ...]:
    """Return the cells that are asked for; all of the table where nothing is said.

    Without ``precisions`` it is fp32 and fp16 for every model, and int8 for one size of each family.
    """
    asked = [find_format(name).name for name in formats] or list(FORMATS)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS, ask=f"--precisions {' '.join(_EVERY_MODEL)}")
        if not any(precision in FORMATS[name].precisions for name in asked):
            raise UnsupportedError(f"{', '.join(asked)} have no precision '{precision}'. Type: edgevit export --help")
    return tuple(
        (entry.name, name, precision)
        for entry in _chosen(models)
        for name in dict.fromkeys(asked)
        for precision in precisions or (*_EVERY_MODEL, *(("int8",) if entry.int8 else ()))
        if precision in FORMATS[name].precisions
    )


def _chosen(globs: Sequence[str]) -> tuple[Entry, ...]:
    """Return the models that fit a pattern; a full name need not be in the list."""
    known = entries()
    if not globs:
        return known
    names = [entry.name for entry in known]
    more: dict[str, Entry] = {}
    for glob in globs:
        if any(fnmatch.fnmatchcase(name, glob) for name in names):
            continue
        if _GLOB & set(glob) or not (glob in MODELS or glob.startswith("timm/")):
            raise unknown_name("model of the matrix", glob, {*names, *MODELS}, ask="edgevit matrix --models 'levit*'")
        more[glob] = Entry(glob, glob, 0.0, 0)
    return tuple(e for e in known if any(fnmatch.fnmatchcase(e.name, glob) for glob in globs)) + tuple(more.values())


def by_model(cells: Iterable[Key]) -> tuple[Work, ...]:
    """Gather the cells of each model, and of each of its formats, in their order."""
    gathered: dict[str, dict[str, list[str]]] = {}
    for model, format_name, precision in cells:
        gathered.setdefault(model, {}).setdefault(format_name, []).append(precision)
    return tuple(
        Work(model, tuple((name, precision) for name, precisions in formats.items() for precision in precisions))
        for model, formats in gathered.items()
    )


def rotated(cells: Sequence[Key], count: int, turn: int | None) -> tuple[Key, ...]:
    """Take some of the cells: the first ones, or those whose ``turn`` it is. ``len/count`` turns see them all once."""
    if turn is None:
        return tuple(cells[:count])
    order = list(cells)
    random.Random(_SHUFFLE_SEED).shuffle(order)
    start = turn * count % max(1, len(order))
    return tuple((order + order)[start : start + min(count, len(order))])


def checkable(cells: Sequence[Key], shipped: Iterable[Cell]) -> tuple[Key, ...]:
    """Return those of the cells that ship as proven and were proven soon enough to be proven again."""
    known = {c.key for c in shipped if c.verdict == "proven" and (c.seconds or 0.0) <= _SLOWEST_S}
    kept = tuple(key for key in cells if key in known)
    if not kept:
        raise UsageError("None of these cells ships as proven, so there is nothing to check. Type: make matrix")
    return kept
