"""Draw tracks on their picture: a box a target in its own colour, its number, score and state on a small panel.

A box that is believed has a full line; one in doubt a thin one; of a lost target only the corners of its last place.
"""

from __future__ import annotations

import numpy as np

from edgevit.runtime.tracks import Track, Tracks

from .canvas import U8, Colour, box, text
from .draw import PANEL, WARNING, WHITE, Measures, draw_banner, percent
from .lettering import ink

COLOURS: tuple[Colour, ...] = ((40, 220, 150), (90, 170, 255), (255, 110, 160), (190, 140, 255))
"""Of targets, by turns; none is near the warning's amber or the red of a lost one."""
LOST: Colour = (235, 70, 60)
_CORNER = 0.25
"""Share of a side that is drawn of a lost target's box."""


def draw_tracks(tracks: Tracks) -> U8:
    """Return a copy of the frame with all tracks drawn on it, (H, W, 3) in RGB order."""
    canvas = np.array(tracks.frame.to_rgb(), dtype=np.uint8)
    measures = Measures.of((canvas.shape[0], canvas.shape[1]))
    for track in tracks:
        _draw_track(canvas, track, measures)
    if not tracks.trained:
        draw_banner(canvas, measures)
    return canvas


def colour_of(track: Track) -> Colour:
    """Return a target's own colour, the warning one while it is in doubt, red while it is gone."""
    if not track.visible:
        return LOST
    return WARNING if track.state == "uncertain" else COLOURS[(track.id - 1) % len(COLOURS)]


def _draw_track(canvas: U8, track: Track, m: Measures) -> None:
    left, top, right, bottom = (round(float(value)) for value in track.box_xyxy)
    colour = colour_of(track)
    line = max(1, m.letter // (6 if track.state == "tracking" else 10))
    _outline(canvas, (left, top, right, bottom), line, colour, whole=track.visible)
    words = f"{track.id}  {percent(track.score)}" if track.state == "tracking" else f"{track.id}  {track.state}"
    mask_h, mask_w = ink(words, m.letter).shape
    height, width = mask_h + m.pad, mask_w + 2 * m.pad
    # Above the box; where there is no room, inside it.
    place_top = top - height if top >= height else min(max(0, top), canvas.shape[0] - height)
    place_left = max(0, min(left, canvas.shape[1] - width))
    box(canvas, place_top, place_left, (height, width), PANEL, 0.7, radius=m.pad // 2)
    box(canvas, place_top, place_left, (height, max(2, m.pad // 2)), colour, 1.0)
    text(canvas, place_top + (height - mask_h) // 2, place_left + m.pad + m.pad // 2, words, m.letter, WHITE)


def _outline(canvas: U8, edges: tuple[int, int, int, int], line: int, colour: Colour, *, whole: bool) -> None:
    left, top, right, bottom = edges
    width, height = max(1, right - left), max(1, bottom - top)
    across = width if whole else max(1, round(width * _CORNER))
    down = height if whole else max(1, round(height * _CORNER))
    for x, y in ((left, top), (right - across, top), (left, bottom - line), (right - across, bottom - line)):
        box(canvas, y, x, (line, across), colour, 1.0)
    for x, y in ((left, top), (right - line, top), (left, bottom - down), (right - line, bottom - down)):
        box(canvas, y, x, (down, line), colour, 1.0)
