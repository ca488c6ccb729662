"""Ask a V4L2 device what it is and what pictures it gives. Numbers and layouts are those of linux/videodev2.h.

The questions change nothing in the device, and are answered while another program reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_QUERYCAP, _CAP = 0x80685600, struct.Struct("<16s32s32sIII12x")
_ENUM_FMT, _FMT = 0xC0405602, struct.Struct("<III32sII12x")
_ENUM_SIZES, _SIZE = 0xC02C564A, struct.Struct("<III6I8x")
_ENUM_RATES, _RATE = 0xC034564B, struct.Struct("<IIIII6I8x")
_CAPTURE, _CAPTURE_PLANES, _OF_DEVICE = 0x1, 0x1000, 0x80000000
_BUFFER, _BUFFER_PLANES = 1, 9
_DISCRETE = 1
_MOST = 256
"""No list is longer; a driver that never ends one is not followed for ever."""
_NAMES = {"YUYV": "yuyv422", "MJPG": "mjpeg", "NV12": "nv12", "YU12": "yuv420p", "H264": "h264", "HEVC": "hevc"}


@dataclass(frozen=True)
class Capabilities:
    """Hold who a device says it is; ``buffer`` is the kind of its pictures' buffers."""

    driver: str
    card: str
    bus: str
    buffer: int


@dataclass(frozen=True)
class Size:
    """Hold width and height, or the largest of a range, and the frames a second that it comes in, fastest first."""

    size_wh: tuple[int, int]
    rates: tuple[float, ...]
    smallest_wh: tuple[int, int] | None = None

    def __str__(self) -> str:
        least = "{}x{} to ".format(*self.smallest_wh) if self.smallest_wh else ""
        return f"{least}{self.size_wh[0]}x{self.size_wh[1]} {'/'.join(f'{rate:g}' for rate in self.rates)}".strip()


@dataclass(frozen=True)
class Format:
    """Hold one kind of pixels under the name that ``?format=`` takes, with its sizes, largest first."""

    name: str
    sizes: tuple[Size, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"format": self.name, "sizes": [{"size": list(s.size_wh), "rates": list(s.rates)} for s in self.sizes]}


def capabilities(file: int) -> Capabilities | None:
    """Return what the device is; None if it gives no pictures."""
    driver, card, bus, _, all_nodes, this_node = _CAP.unpack(_ask(file, _QUERYCAP, bytes(_CAP.size)))
    able = this_node if all_nodes & _OF_DEVICE else all_nodes
    if not able & (_CAPTURE | _CAPTURE_PLANES):
        return None
    return Capabilities(_text(driver), _text(card), _text(bus), _BUFFER if able & _CAPTURE else _BUFFER_PLANES)


def formats(file: int, told: Capabilities) -> tuple[Format, ...]:
    """Return the kinds of pixels with their sizes and rates."""
    found = []
    for answer in _list(file, _ENUM_FMT, lambda n: _FMT.pack(n, told.buffer, 0, b"", 0, 0)):
        code = _FMT.unpack(answer)[4]
        word = struct.pack("<I", code & 0x7FFFFFFF).decode("latin-1").strip()
        sizes = sorted(_sizes(file, code), key=lambda size: size.size_wh, reverse=True)
        found.append(Format(_NAMES.get(word, word.lower()), tuple(sizes)))
    return tuple(found)


def _sizes(file: int, code: int) -> Iterator[Size]:
    for answer in _list(file, _ENUM_SIZES, lambda n: _SIZE.pack(n, code, 0, *[0] * 6)):
        _, _, kind, *numbers = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            width, height = numbers[:2]
            yield Size((width, height), _rates(file, code, width, height))
        else:  # a range: smallest width, largest, step; the same of the height
            yield Size((numbers[1], numbers[4]), _rates(file, code, numbers[1], numbers[4]), (numbers[0], numbers[3]))
            return


def _rates(file: int, code: int, width: int, height: int) -> tuple[float, ...]:
    rates = set()
    for answer in _list(file, _ENUM_RATES, lambda n: _RATE.pack(n, code, width, height, 0, *[0] * 6)):
        kind, *numbers = _RATE.unpack(answer)[4:]
        pairs = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
        rates |= {round(below / above, 3) for above, below in pairs if above}
        if kind != _DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def _list(file: int, question: int, numbered: Any) -> Iterator[bytes]:
    """Ask for one after another until the driver says that there are no more."""
    for number in range(_MOST):
        try:
            yield _ask(file, question, numbered(number))
        except OSError:
            return


def _ask(file: int, question: int, data: bytes) -> bytes:
    from fcntl import ioctl  # Linux has it

    return bytes(ioctl(file, question, data))


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace").strip()
