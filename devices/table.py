"""Read one TOML table strictly: every key has a type, and a key that nobody asked for is an error.

A fault is answered with a ``SpecError`` that names the file and the key, says what was found and what was expected.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable
from typing import Any, TypeVar

from edgevit.errors import SpecError

_ABSENT = object()
_Value = TypeVar("_Value")


class Table:
    """Hand out the keys of one table, each checked; ``close`` refuses what is left over."""

    def __init__(self, data: object, file: str, path: str = "") -> None:
        self._file, self._path = file, path
        if not isinstance(data, dict):
            raise SpecError(f"{file}: [{path}] must be a table, not {_shown(data)}.")
        self._data: dict[str, Any] = data
        self._asked: list[str] = []

    def close(self) -> None:
        """Raise unless every key of the table was asked for."""
        for key in self._data:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                guess = f" Did you mean '{near[0]}'?" if near else ""
                raise SpecError(
                    f"{self._file}: '{self._full(key)}' is not a key of a device file.{guess} "
                    f"Known here: {', '.join(self._asked)}."
                )

    def fault(self, key: str, expected: str) -> SpecError:
        """Build the error for a key whose value is not what was expected."""
        return SpecError(f"{self._file}: '{self._full(key)}' must be {expected}, not {_shown(self._data.get(key))}.")

    def text(self, key: str, allowed: Container[str] | None = None) -> str | None:
        """Return a text that is not empty, if the key is there."""
        value = self._take(key)
        if value is _ABSENT:
            return None
        if not _is_text(value):
            raise self.fault(key, "a text that is not empty")
        if allowed is not None and value not in allowed:
            raise self.fault(key, f"one of {_listed(allowed)}")
        return str(value)

    def need_text(self, key: str, allowed: Container[str] | None = None) -> str:
        """Return a text that must be there."""
        return self._need(key, self.text(key, allowed))

    def whole(self, key: str, allowed: range) -> int | None:
        """Return a whole number within a range, if the key is there."""
        value = self._take(key)
        if value is _ABSENT:
            return None
        # bool is an int in Python, and `cores = true` is no number of cores.
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            raise self.fault(key, f"a whole number from {allowed[0]} to {allowed[-1]}")
        return value

    def texts(self, key: str, allowed: Container[str] | None = None) -> tuple[str, ...]:
        """Return a list of different texts; it is empty only if the key is absent."""
        value = self._take(key)
        if value is _ABSENT:
            return ()
        if not isinstance(value, list) or not value or not all(map(_is_text, value)):
            raise self.fault(key, "a list of texts that is not empty")
        strange = [item for item in value if allowed is not None and item not in allowed]
        if strange:
            raise SpecError(
                f"{self._file}: '{self._full(key)}' holds {_shown(strange[0])}, which is none of {_listed(allowed)}."
            )
        if len(set(value)) != len(value):
            raise self.fault(key, "a list without repeats")
        return tuple(value)

    def need_texts(self, key: str, allowed: Container[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts that must be there."""
        return self._need(key, self.texts(key, allowed) or None)

    def need_sizes(self, key: str) -> tuple[float, ...]:
        """Return a rising list of numbers above zero that must be there."""
        value = self._need(key, None if (found := self._take(key)) is _ABSENT else found)
        if not isinstance(value, list) or not value or not all(map(_is_size, value)) or sorted(set(value)) != value:
            raise self.fault(key, "a rising list of numbers above zero")
        return tuple(value)

    def table(self, key: str) -> Table | None:
        """Return a table within this one, if it is there."""
        value = self._take(key)
        return None if value is _ABSENT else Table(value, self._file, self._full(key))

    def need_table(self, key: str) -> Table:
        """Return a table that must be there."""
        return self._need(key, self.table(key))

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the members of an array of tables, none if the key is absent."""
        value = self._take(key)
        if value is _ABSENT:
            return ()
        if not isinstance(value, list):
            raise self.fault(key, f"an array of tables, written [[{key}]]")
        return tuple(Table(item, self._file, f"{self._full(key)}[{n}]") for n, item in enumerate(value))

    def _take(self, key: str) -> Any:
        self._asked.append(key)
        return self._data.get(key, _ABSENT)

    def _need(self, key: str, value: _Value | None) -> _Value:
        if value is None:
            raise SpecError(f"{self._file}: '{self._full(key)}' is missing; every device file must have it.")
        return value

    def _full(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _listed(allowed: Container[str] | None) -> str:
    return ", ".join(allowed) if isinstance(allowed, Iterable) else "the known words"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
