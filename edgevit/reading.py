"""Read JSON that a stranger wrote: every value is asked for by its type and bounds, and a fault names its place.

A ``Table`` is one JSON object and where it stands. What is not asked for is never looked at, so unknown keys pass.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import SchemaError

_LONGEST_TEXT = 1 << 16
_DEEPEST = 32


def read_json(text: str) -> Any:
    """Parse JSON text of bounded depth; NaN and infinity, which are no JSON, are refused."""
    try:
        data = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as exc:  # ValueError also stands for a number of thousands of digits
        raise SchemaError(f"not JSON ({exc})") from exc
    level = [data]
    for _ in range(_DEEPEST):
        level = [i for v in level if isinstance(v, (dict, list)) for i in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return data
    raise SchemaError(f"not JSON of at most {_DEEPEST} levels")


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word[:40]} is not a finite number")
    return number


@dataclass(frozen=True)
class Table:
    """Hold one JSON object. ``place`` is its path in the document, for the message."""

    data: Mapping[str, Any]
    place: str = ""

    @classmethod
    def of(cls, value: Any, place: str) -> Table:
        """Take a value that must be an object."""
        if not isinstance(value, dict):
            raise _unfit(place, "an object", value)
        return cls(value, place)

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def table(self, key: str) -> Table:
        return Table.of(self._value(key), self._at(key))

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return a list of objects."""
        return tuple(Table.of(item, f"{self._at(key)}[{n}]") for n, item in enumerate(self._list(key)))

    def entries(self, key: str) -> Iterator[tuple[str, Table]]:
        """Yield name and object of an object of objects."""
        inner = self.table(key)
        for name in inner.data:
            yield as_text(name, inner.place), inner.table(name)

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = as_text(self._value(key), self._at(key))
        if not value:
            raise _unfit(self._at(key), "a text that is not empty", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(as_text(item, f"{self._at(key)}[{n}]") for n, item in enumerate(self._list(key)))

    def words(self, key: str) -> dict[str, str]:
        """Return an object of texts."""
        inner = self.table(key)
        return {as_text(n, inner.place): as_text(v, inner._at(n)) for n, v in inner.data.items()}

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        value = self._value(key)
        if not isinstance(value, str) or value not in allowed:
            raise _unfit(self._at(key), f"one of {', '.join(allowed)}", value)
        return value

    def flag(self, key: str) -> bool:
        value = self._value(key)
        if not isinstance(value, bool):
            raise _unfit(self._at(key), "true or false", value)
        return value

    def whole(self, key: str, least: int, most: int) -> int:
        """Return a whole number within bounds; 1.0 and true are none."""
        return as_whole(self._value(key), least, most, self._at(key))

    def wholes(self, key: str, least: int, most: int) -> tuple[int, ...]:
        return tuple(as_whole(item, least, most, f"{self._at(key)}[{n}]") for n, item in enumerate(self._list(key)))

    def number(self, key: str, least: float, most: float) -> float:
        """Return a finite number within bounds."""
        value = self._value(key)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
        if not fits or not math.isfinite(value):
            raise _unfit(self._at(key), f"a number from {least:g} to {most:g}", value)
        return float(value)

    def _list(self, key: str) -> list[Any]:
        value = self._value(key)
        if not isinstance(value, list):
            raise _unfit(self._at(key), "a list", value)
        return value

    def _value(self, key: str) -> Any:
        if key not in self.data:
            raise SchemaError(f"'{self._at(key)}' is missing.")
        return self.data[key]

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key


def as_text(value: Any, place: str) -> str:
    """Return a text of bounded length that every output can write."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise _unfit(place, "a text", value)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise _unfit(place, "a text without lone surrogates", value) from exc
    return value


def as_whole(value: Any, least: int, most: int, place: str) -> int:
    """Return a whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _unfit(place, f"a whole number from {least} to {most}", value)
    return value


def _unfit(place: str, expected: str, value: Any) -> SchemaError:
    return SchemaError(f"'{place[:80]}' must be {expected}, not {reprlib.repr(value)}.")
