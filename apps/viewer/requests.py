"""Read what a viewer sends: one small JSON object a message, checked against a table before anything is done.

    {"do": "watch", "lanes": [0, 1]}                               send pictures of these sources, and of no others
    {"do": "shown", "lane": 0, "number": 17}                       the picture is here; the next one may come
    {"do": "clock", "t": 1234.5}                                   answered with the same t and the server's clock
    {"do": "start", "lane": 0, "number": 17, "place": [x, y, …]}   follow what that picture shows in a box (left, top,
                                                                   right, bottom) or at a point (x, y), in its pixels
    {"do": "stop", "lane": 0, "id": 1}                             follow this target no longer
    {"do": "pause", "on": true}  {"do": "record", "on": true}      begin or end either

The last four kinds are orders: each is answered by a ``reply`` with the ``ask`` that came with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from edgevit.errors import UsageError
from edgevit.registry import unknown_name

MOST_LETTERS = 4096
_MOST_LANES = 64
_LARGEST = 1e9


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e15  # NaN is not, and a whole number of any length may come


def _flag(value: Any) -> bool:
    return type(value) is bool


def _lanes(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_LANES and all(map(_whole, value))


def _place(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 4) and all(map(_number, value))


_Check = Callable[[Any], bool]

KINDS: Mapping[str, Mapping[str, tuple[_Check, str]]] = {
    "watch": {"lanes": (_lanes, "a list of sources' numbers")},
    "shown": {"lane": (_whole, "a source's number"), "number": (_whole, "a picture's number")},
    "clock": {"t": (_number, "a number")},
    "start": {
        "lane": (_whole, "a source's number"),
        "number": (_whole, "a picture's number"),
        "place": (_place, "two or four numbers"),
    },
    "stop": {"lane": (_whole, "a source's number"), "id": (_whole, "a target's number")},
    "pause": {"on": (_flag, "true or false")},
    "record": {"on": (_flag, "true or false")},
}
ORDERS = frozenset({"start", "stop", "pause", "record"})


def read_request(text: str) -> dict[str, Any]:
    """Return what was asked, with exactly the keys of its kind and ``ask``; or say in a sentence what is wrong."""
    if len(text) > MOST_LETTERS:
        raise UsageError(f"A message to the page's server has {MOST_LETTERS} letters at most.")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError("A message to the page's server is one JSON object.") from exc
    if not isinstance(said, dict) or not isinstance(said.get("do"), str):
        raise UsageError('A message to the page\'s server is an object with a "do".')
    kind = said["do"]
    if kind not in KINDS:
        raise unknown_name("order", kind[:40], KINDS, ask="one of " + ", ".join(KINDS))
    ask = said.get("ask", 0)
    if not _whole(ask):
        raise UsageError('"ask" must be a whole number.')
    known = KINDS[kind]
    for key, (check, expected) in known.items():
        if key not in said or not check(said[key]):
            raise UsageError(f'"{key}" of "{kind}" must be {expected}.')
    if spare := sorted(set(said) - {"do", "ask", *known}):
        raise UsageError(f'"{kind}" has no "{spare[0][:40]}"; it has {", ".join(known)}.')
    return {"do": kind, "ask": ask, **{key: said[key] for key in known}}
