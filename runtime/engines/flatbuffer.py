"""Read any FlatBuffer without its schema: tables, their fields by number, and what stands in them.

Fields keep their numbers for ever, which is what makes a file of a newer writer readable. Nothing is executed, no
offset is followed out of the data, and no more parts are read than any model has.
"""

from __future__ import annotations

import struct
from typing import Any

_MOST_PARTS = 1_000_000


def read_root(data: memoryview) -> Table:
    """Return the table that a FlatBuffer begins with. Whoever reads on meets ``ValueError`` or ``struct.error``."""
    return Table(data, struct.unpack_from("<I", data, 0)[0], [_MOST_PARTS])


class Table:
    """Read one FlatBuffer table: its fields by number, each from the place that the table's own index names."""

    def __init__(self, data: memoryview, at: int, budget: list[int]) -> None:
        self._data, self._at, self._budget = data, at, budget
        self._index = at - self._read("i", at)
        self._fields = (self._read("H", self._index) - 4) // 2

    def has(self, field: int) -> bool:
        """Tell whether a field is there."""
        return self._place(field) != 0

    def number(self, field: int, kind: str) -> int:
        """Return a number of a struct kind, 0 where the field is left out."""
        place = self._place(field)
        return self._read(kind, place) if place else 0

    def text(self, field: int) -> str:
        """Return a string, empty where the field is left out."""
        return bytes(self.content(field)).decode("utf-8")

    def content(self, field: int) -> memoryview:
        """Return the bytes of a vector of bytes."""
        place = self._place(field)
        if not place:
            return self._data[:0]
        start, count = self._vector(place, 1)
        return self._data[start : start + count]

    def table(self, field: int) -> Table:
        """Return an inner table, which must be there."""
        place = self._place(field)
        if not place:
            raise ValueError("a part is missing")
        return self._inner(place)

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables."""
        place = self._place(field)
        if not place:
            return []
        start, count = self._vector(place, 4)
        self._budget[0] -= count
        if self._budget[0] < 0:
            raise ValueError("it has more parts than any model")
        return [self._inner(start + 4 * n) for n in range(count)]

    def _inner(self, place: int) -> Table:
        return Table(self._data, place + self._read("I", place), self._budget)

    def _place(self, field: int) -> int:
        offset = self._read("H", self._index + 4 + 2 * field) if field < self._fields else 0
        return self._at + offset if offset else 0

    def _vector(self, place: int, size: int) -> tuple[int, int]:
        start = place + self._read("I", place)
        count = self._read("I", start)
        if start + 4 + size * count > len(self._data):
            raise ValueError("a part is cut off")
        return start + 4, count

    def _read(self, kind: str, at: int) -> int:
        if at < 0:  # struct would count from the end
            raise ValueError("an offset leads out of it")
        value: Any = struct.unpack_from(f"<{kind}", self._data, at)[0]
        return int(value)
