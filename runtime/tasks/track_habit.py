"""Learn from the first frame what the net makes of a box that a person drew, and undo it in the frames that follow.

A net that takes a walker's jacket for the walker does so again in the next frame. What was drawn is right by
definition, so the net's answer to the very frame it was drawn in is compared with it: the difference is its habit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .track_crop import Box

_FARTHEST = 0.5
"""Shares of the net's box by which its centre may be off; farther it sees something else, which is no habit."""
_LARGEST = math.log(2.5)
"""And by how much a side may be."""


@dataclass(frozen=True)
class Habit:
    """Hold how far a drawn box lies from the net's, in shares of the net's sides, and the logarithms of its sides."""

    right: float = 0.0
    down: float = 0.0
    wider: float = 0.0
    taller: float = 0.0

    @classmethod
    def between(cls, seen_xywh: Box, drawn_xywh: Box, share: float) -> Habit:
        """Take ``share`` of the difference; none, where the two boxes have little to do with one another."""
        if share <= 0 or min(*seen_xywh[2:], *drawn_xywh[2:]) <= 0:
            return cls()
        (right, wider), (down, taller) = (
            (
                (drawn_xywh[axis] + drawn_xywh[axis + 2] / 2 - seen_xywh[axis] - seen_xywh[axis + 2] / 2)
                / seen_xywh[axis + 2],
                math.log(drawn_xywh[axis + 2] / seen_xywh[axis + 2]),
            )
            for axis in (0, 1)
        )
        if max(abs(right), abs(down)) > _FARTHEST or max(abs(wider), abs(taller)) > _LARGEST:
            return cls()
        return cls(share * right, share * down, share * wider, share * taller)

    def undone(self, box_xywh: Box) -> Box:
        """Return the box that a person would have drawn where the net answers this one."""
        x, y, w, h = box_xywh
        width, height = w * math.exp(self.wider), h * math.exp(self.taller)
        return x + w * (self.right + 0.5) - width / 2, y + h * (self.down + 0.5) - height / 2, width, height
