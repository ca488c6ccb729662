"""Yield built-in renders, the same on every machine: single pictures, and clips of one target.

``synthetic://shapes?count=12&size=480x640&seed=0`` and ``synthetic://clip?kind=demo&count=150&size=240x320``.

``size`` is height x width and gives a large picture with one object; one number, or none, gives the square pictures
that the shapes classifier is measured on. ``start`` is the first index, ``fps`` the pace. Each frame's source ends in
its truth (``synthetic://shapes/0003-triangle.png``, ``synthetic://clip/demo/0003@40,32,18,20.png``), so that a demo can
count what was right; a frame of a clip in which the target cannot be seen names no box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from edgevit.errors import InputError
from edgevit.registry import Registry, unknown_name

from ..frame import Frame
from .images import SECOND_NS
from .protocol import OnError, Source

SCENES = Registry(
    "synthetic scene",
    {"shapes": "edgevit.scenes.shapes", "clip": "edgevit.scenes.clips"},
    ask="synthetic://shapes?count=12",
)

_LIMITS = {"count": (1, 1 << 31), "seed": (0, (1 << 32) - 1), "start": (0, 1 << 31), "fps": (1, 1000)}


@dataclass(frozen=True)
class Order:
    """Hold what the URI asked for."""

    scene: str
    count: int = 12
    size_hw: tuple[int, ...] = ()
    seed: int = 0
    start: int = 0
    fps: int = 10
    kind: str = ""


class Clips:
    """Render the frames of one clip, one at a time."""

    live, any_thread = False, True

    def __init__(self, order: Order) -> None:
        self.name = f"synthetic://{order.scene}"
        self.faults: tuple[str, ...] = ()
        self._order = order
        asked: dict[str, Any] = {"seed": order.seed, "count": order.count}
        if order.size_hw:
            asked["size_hw"] = order.size_hw if len(order.size_hw) == 2 else order.size_hw * 2
        self._clip = SCENES.load("clip").Clip(order.kind or "demo", **asked)
        self.total: int | None = order.count - order.start
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._order.start, self._order.count):
            if self._closed:
                return
            shot = self._clip.shot(index)
            place = "" if shot.box_xywh is None else "@" + ",".join(f"{value:g}" for value in shot.box_xywh)
            name = f"synthetic://clip/{self._order.kind or 'demo'}/{index:04d}{place}.png"
            number = index - self._order.start
            yield Frame(shot.rgb, "rgb", number * SECOND_NS // self._order.fps, number, name)

    def close(self) -> None:
        self._closed = True


class Renders:
    """Render one picture at a time, when it is asked for."""

    live, any_thread = False, True

    def __init__(self, order: Order) -> None:
        self.total: int | None = order.count
        self.name = f"synthetic://{order.scene}"
        self.faults: tuple[str, ...] = ()
        self._order = order
        self._scene = SCENES.load(order.scene)
        self._closed = False
        self._render(order.start)  # a size that the renderer refuses is told when the source is opened

    def __iter__(self) -> Iterator[Frame]:
        order = self._order
        for index in range(order.count):
            if self._closed:
                return
            rgb, label = self._render(order.start + index)
            name = f"synthetic://{order.scene}/{order.start + index:04d}-{self._scene.LABELS[label]}.png"
            yield Frame(rgb, "rgb", index * SECOND_NS // order.fps, index, name)

    def close(self) -> None:
        self._closed = True

    def _render(self, index: int) -> tuple[Any, int]:
        size, seed = self._order.size_hw, self._order.seed
        if len(size) == 2:
            drawn: tuple[Any, int] = self._scene.render_picture(index, size_hw=size, seed=seed)
        else:
            drawn = self._scene.render(index, seed=seed, **({"size": size[0]} if size else {}))
        return drawn


def source_of(place: str, *, on_error: OnError, recursive: bool) -> Source:
    """Open a synthetic source; its pictures cannot fail, so the policies change nothing."""
    order = order_of(place)
    return Clips(order) if order.scene == "clip" else Renders(order)


def order_of(uri: str) -> Order:
    """Read the URI; a key or a value that cannot be is named."""
    parts = urlsplit(uri)
    clip = parts.netloc == "clip"
    values: dict[str, Any] = {"count": 150, "fps": 30, "seed": 7} if clip else {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key == "size":
            values["size_hw"] = _size(text)
        elif key in _LIMITS:
            values[key] = _number(key, text, *_LIMITS[key])
        elif key == "kind" and clip:
            values[key] = text
        else:
            known = ("size", *_LIMITS, *(["kind"] if clip else []))
            raise unknown_name("option of synthetic://", key, known, ask="synthetic://shapes?count=12&size=96")
    return Order(parts.netloc, **values)


def _number(key: str, text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise InputError(f"{key} of a synthetic source must be a whole number from {low} to {high}, not {text!r}.")
    return int(text)


def _size(text: str) -> tuple[int, ...]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise InputError(f"size of a synthetic source must be like 96 or 480x640 (height x width), not {text!r}.")
    return tuple(int(side) for side in sides)
