"""Follow a mouse button from press to release: a drag is a box, a click is a point. Knows no window."""

from __future__ import annotations

Box = tuple[float, float, float, float]
Point = tuple[float, float]

_STILL_PX = 4
"""A hand that clicks moves by less than this; a drag by less in both directions is a click."""


class Mouse:
    """Hold one stroke. ``pressed`` is while it is drawn, ``done`` from its end until it is taken."""

    def __init__(self) -> None:
        self.pressed = False
        self.done = False
        self._from: Point = (0, 0)
        self._to: Point = (0, 0)

    def press(self, x: float, y: float) -> None:
        """Begin a stroke; one that nobody has taken is forgotten."""
        self.pressed, self.done = True, False
        self._from = self._to = (x, y)

    def move(self, x: float, y: float) -> None:
        """Draw on, if the button is down."""
        if self.pressed:
            self._to = (x, y)

    def release(self, x: float, y: float) -> None:
        """End the stroke; a release without its press, as when the window comes up under the hand, is none."""
        if self.pressed:
            self._to = (x, y)
            self.pressed, self.done = False, True

    def take(self, size_hw: tuple[int, ...]) -> Box | Point:
        """Return the stroke, inside a picture of this size: x, y, width, height, or x, y if it was a click."""
        self.done = False
        if all(abs(end - start) < _STILL_PX for start, end in zip(self._from, self._to, strict=True)):
            height, width = size_hw
            return min(max(0.0, self._to[0]), width - 1.0), min(max(0.0, self._to[1]), height - 1.0)
        return self.drawn(size_hw)

    def drawn(self, size_hw: tuple[int, ...]) -> Box:
        """Return the box between both ends of the stroke, inside the picture and a pixel a side at least."""
        height, width = size_hw
        left, right = _span(self._from[0], self._to[0], width)
        top, bottom = _span(self._from[1], self._to[1], height)
        return left, top, right - left, bottom - top


def _span(one: float, other: float, length: int) -> tuple[float, float]:
    first = min(max(0.0, min(one, other)), length - 1.0)
    return first, min(max(first + 1, one, other), float(length))
