"""Pack what goes to a viewer as one binary message: which frame, what was answered for it, and its picture.

All numbers are little-endian and without a sign:

    offset   bytes  what
    0        4      the letters EVP1; another form would have another number
    4        4      n, the length of the header
    8        n      the header: JSON in UTF-8, one object
    8 + n    rest   the picture: a JPEG, as wide as it is shown at most; empty where it could not be made

The header's keys:

    lane         the number of the source, from 0
    number       rises with every picture of a lane; what the viewer sends back when it has it
    index        the number of the frame in its source
    source       the frame's own name
    size_hw      height and width of the original frame, in whose pixels all boxes are
    captured_ms  when it was captured, on the server's monotonic clock, which ``clock`` messages tell
    answered_ms  how old it was when its answer reached the page
    result       what ``result.to_dict()`` returns: boxes with id, score and state, or the best classes
    fault        only where there is no picture: the reason, one sentence

Everything else is JSON in text messages, each an object. From the server: ``hello`` once, ``state`` once a second,
``reply`` to an order, ``clock``, ``end`` when the run is over. To the server: see ``requests.py``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from edgevit.errors import InputError

MAGIC = b"EVP1"
_HEAD = struct.Struct("<4sI")


@dataclass(frozen=True, eq=False)
class Picture:
    """Hold one message, apart."""

    header: dict[str, Any]
    jpeg: bytes


def pack(picture: Picture) -> bytes:
    """Return the message."""
    header = json.dumps(picture.header, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b"".join((_HEAD.pack(MAGIC, len(header)), header, picture.jpeg))


def unpack(message: bytes) -> Picture:
    """Read a message, or say what is wrong with it; for those who watch without a browser."""
    if len(message) < _HEAD.size or message[:4] != MAGIC:
        raise InputError(f"This is no picture of a page: it begins with {message[:4]!r}, not {MAGIC!r}.")
    (_, length), end = _HEAD.unpack_from(message), _HEAD.size
    try:
        header = json.loads(message[end : end + length])
    except ValueError as exc:
        raise InputError(f"The header of a picture's message cannot be read: {exc}.") from exc
    if len(message) < end + length or not isinstance(header, dict):
        raise InputError("A picture's message is cut short, or its header is no object.")
    return Picture(header, bytes(message[end + length :]))
