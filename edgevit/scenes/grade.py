"""Say how hard a scene is to read. Nets learn on hard scenes and are tested on plain ones, where little is in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Grade:
    """Hold what decides how well an object can be seen.

    ``contrast`` is the least distance of its colours from the backdrop's; ``related`` and ``related_field`` are the
    chances that the two colours of the object, or of a field, are shades of one; ``shade`` is how far such shades are
    apart; ``radius`` is the smallest one, in half shorter sides; ``inside`` is the share of it that must lie in the
    picture; ``hidden`` is the largest share of its pixels behind one thing; ``worst`` scales blur, grain and exposure.
    ``fields`` and ``occluders`` are the numbers of backdrop fields and of things in front, to pick one of.
    """

    contrast: float
    related: float
    related_field: float
    shade: tuple[float, float]
    radius: float
    inside: float
    hidden: float
    worst: float
    fields: tuple[int, ...]
    occluders: tuple[int, ...]


HARD: Final = Grade(0.2, 0.6, 0.7, (0.15, 0.5), 0.5, 0.8, 0.25, 1.0, (1, 1, 2, 3), (0, 0, 0, 1, 1, 2))
PLAIN: Final = Grade(0.25, 0.75, 0.85, (0.12, 0.45), 0.52, 0.9, 0.2, 0.9, (1, 1, 2, 2), (0, 0, 0, 1, 1))
