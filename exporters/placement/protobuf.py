"""Read protobuf messages by their field numbers, which a schema never changes: no vendor's package, no schema.

ONNX files and Core ML programs are both read this way, so placement needs neither ``onnx`` nor ``coremltools``, whose
import alone costs seconds. Lengths are held against the bytes that are there.
"""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST_VARINT = 10
_FIXED = {1: 8, 5: 4}


class Message:
    """Hold the fields of one message; inner messages are read when they are asked for."""

    def __init__(self, data: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def messages(self, number: int) -> list[Message]:
        """Return the messages of a field."""
        return [Message(value) for value in self._bytes(number)]

    def message(self, number: int) -> Message:
        """Return one message; an absent one is empty, as protobuf has it."""
        found = self.messages(number)
        return found[-1] if found else Message(memoryview(b""))

    def texts(self, number: int) -> tuple[str, ...]:
        """Return the strings of a field."""
        return tuple(bytes(value).decode("utf-8") for value in self._bytes(number))

    def text(self, number: int) -> str:
        """Return one string, empty where there is none."""
        found = self.texts(number)
        return found[-1] if found else ""

    def wholes(self, number: int) -> tuple[int, ...]:
        """Return the whole numbers of a field, packed or not."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            found += [value] if isinstance(value, int) else _packed(value)
        return tuple(_signed(value) for value in found)

    def whole(self, number: int) -> int:
        """Return one whole number, 0 where there is none."""
        found = self.wholes(number)
        return found[-1] if found else 0

    def entries(self, number: int) -> dict[str, Message]:
        """Return a map of messages."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def _bytes(self, number: int) -> Iterator[memoryview]:
        for value in self._fields.get(number, []):
            if isinstance(value, int):
                raise ValueError(f"field {number} is a number where a message belongs")
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size, at = _varint(data, at) if wire == 2 else (_FIXED.get(wire, -1), at)
        if size < 0:
            raise ValueError(f"unknown wire type {wire}")
        if at + size > end:
            raise ValueError("a field is cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for step in range(_LONGEST_VARINT):
        if at + step >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            return value, at + step + 1
    raise ValueError("a number is too long")


def _packed(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _signed(value: int) -> int:
    """Read a varint as the int64 that it is: negative numbers stand there as their complement."""
    return value - (1 << 64) if value >= 1 << 63 else value
