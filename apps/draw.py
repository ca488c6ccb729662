"""Draw a classification on its picture: the best classes on a dark panel, and a banner if the weights are untrained.

All sizes follow the picture's shorter side, so the overlay looks alike from a thumbnail to 8K; what does not fit is
left out whole (rows, then the percentages) or ends in an ellipsis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.runtime.results import Classification

from .canvas import U8, Colour, box, text
from .lettering import ink, shortened
from .sheet import contact_sheet as contact_sheet

WHITE: Colour = (255, 255, 255)
FAINT: Colour = (214, 218, 224)
PANEL: Colour = (12, 14, 18)
ACCENT: Colour = (16, 150, 130)
QUIET: Colour = (104, 116, 134)
WARNING: Colour = (255, 178, 26)

BANNERS = ("UNTRAINED weights: the answer means nothing", "UNTRAINED weights", "UNTRAINED")

_SMALLEST_HW = (12, 16)  # below that there is no room for one letter


@dataclass(frozen=True)
class Measures:
    """Hold the sizes of one overlay, in pixels."""

    letter: int
    row: int
    pad: int
    margin: int

    @classmethod
    def of(cls, size_hw: tuple[int, int]) -> Measures:
        """Choose them for a picture; on very small ones the letters shrink further, so that a row fits."""
        shorter = min(size_hw)
        letter = max(6, min(round(6 + 0.026 * shorter), size_hw[0] // 3))
        tight = shorter < 160
        return cls(
            letter, round(letter * 1.6), max(1, letter // (5 if tight else 2)), 0 if tight else round(letter * 0.7)
        )


def draw(result: Classification) -> U8:
    """Return a copy of the frame with the answer drawn on it, (H, W, 3) in RGB order."""
    canvas = np.array(result.frame.to_rgb(), dtype=np.uint8)
    height, width = canvas.shape[:2]
    if height < _SMALLEST_HW[0] or width < _SMALLEST_HW[1]:
        return canvas
    measures = Measures.of((height, width))
    used = 0 if result.trained else draw_banner(canvas, measures)
    rows = [(result.name(i), float(result.scores[i])) for i in result.top(result.topk)]
    _draw_panel(canvas, rows, measures, height - used)
    return canvas


def percent(score: float) -> str:
    """Return a score as a person reads it; what is small is not called nothing."""
    return "<1%" if 0 < score < 0.01 else f"{score:.0%}"


def draw_banner(canvas: U8, measures: Measures) -> int:
    """Write the warning across the top, in the longest form that fits, and return its height."""
    width = canvas.shape[1]
    sizes = [(words, measures.letter) for words in BANNERS]
    sizes += [(BANNERS[-1], letter) for letter in range(measures.letter - 1, 4, -1)]
    words, letter = next((s for s in sizes if ink(*s).shape[1] <= width - 2), ("!", measures.letter))
    mask_h, mask_w = ink(words, letter).shape
    box(canvas, 0, 0, (measures.row, width), WARNING, 0.92)
    text(canvas, (measures.row - mask_h) // 2, (width - mask_w) // 2, words, letter, PANEL)
    return measures.row


def _draw_panel(canvas: U8, rows: list[tuple[str, float]], m: Measures, room_h: int) -> None:
    """Draw the panel at the lower left; it takes half of the room at most, but always shows the best class."""
    shown = rows[: max(1, (room_h // 2 - 2 * m.pad) // m.row)]
    if not shown or room_h < m.row:
        return
    widest_name = max(ink(name, m.letter).shape[1] for name, _ in shown)
    widest_share = ink("100%", m.letter).shape[1]
    wanted = 4 * m.pad + widest_name + m.letter + widest_share
    width = min(canvas.shape[1] - 2 * m.margin, max(wanted, 11 * m.letter))
    height = len(shown) * m.row + 2 * m.pad
    top, left = canvas.shape[0] - m.margin - height, m.margin
    box(canvas, top, left, (height, width), PANEL, 0.66, radius=m.pad if m.margin else 0)
    for number, (name, score) in enumerate(shown):
        place = (top + m.pad + number * m.row, left + m.pad)
        _draw_row(canvas, place, width - 2 * m.pad, name, score, m, best=number == 0)


def _draw_row(
    canvas: U8, place: tuple[int, int], width: int, name: str, score: float, m: Measures, *, best: bool
) -> None:
    """Draw one class: a bar as long as its score, the name and the percentage on it."""
    top, left = place
    bar_h = m.row - max(1, m.row // 10)
    box(canvas, top, left, (bar_h, width), WHITE, 0.07, radius=m.pad // 2)
    box(
        canvas,
        top,
        left,
        (bar_h, round(width * min(1.0, max(0.0, score)))),
        ACCENT if best else QUIET,
        0.85,
        m.pad // 2,
    )
    share = percent(score)
    share_h, share_w = ink(share, m.letter).shape
    inset = max(1, m.pad)
    line = top + (bar_h - share_h) // 2
    colour = WHITE if best else FAINT
    room = width - 2 * inset - share_w - m.letter // 2
    if room >= 3 * m.letter:
        text(canvas, line, left + width - inset - share_w, share, m.letter, colour)
    else:
        room = width - 2 * inset
    text(canvas, line, left + inset, shortened(name, m.letter, room), m.letter, colour)
