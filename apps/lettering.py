"""Turn text into coverage masks, with Pillow's built-in font, or OpenCV's strokes where there is no Pillow.

A mask is (line height, width) of uint8: how much of each pixel the letters cover. All masks of one size have the same
height and baseline, so they stand in line. Neither library is imported before the first text.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import missing

Mask = npt.NDArray[np.uint8]

_STROKE_HEIGHT = 21  # of a capital letter of OpenCV's simplex font at scale 1


@functools.lru_cache(maxsize=512)
def ink(text: str, size_px: int) -> Mask:
    """Return the mask of one line of text. Breaks and runs of blanks become one blank."""
    line = " ".join(text.split())
    font = _pillow_font(size_px)
    mask = _strokes(line, size_px) if font is None else _glyphs(line, font)
    mask.flags.writeable = False  # it is shared by all who ask
    return mask


def shortened(text: str, size_px: int, width_px: int) -> str:
    """Return the text, or its beginning and an ellipsis, no wider than that; nothing if not one letter fits."""
    if ink(text, size_px).shape[1] <= width_px:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = ink(text[:middle].rstrip() + "…", size_px).shape[1] <= width_px
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…" if low else ""


@functools.lru_cache(maxsize=16)
def _pillow_font(size_px: int) -> Any:
    try:
        from PIL import ImageFont

        return ImageFont.load_default(size_px)
    except ImportError:  # no Pillow, or one without FreeType
        return None


def _glyphs(line: str, font: Any) -> Mask:
    from PIL import Image, ImageDraw

    ascent, descent = font.getmetrics()
    left, _, right, _ = font.getbbox(line or " ")
    image = Image.new("L", (max(1, math.ceil(right - min(0, left))), ascent + descent))
    ImageDraw.Draw(image).text((-min(0, left), 0), line, fill=255, font=font)
    return np.array(image, dtype=np.uint8)


def _strokes(line: str, size_px: int) -> Mask:
    try:
        import cv2
    except ImportError as exc:
        raise missing("pillow", "Drawing", "image") from exc
    # OpenCV's strokes know ASCII alone: accents are dropped, and what is left over becomes a question mark.
    plain = (
        unicodedata.normalize("NFKD", line.replace("…", "...")).encode("ascii", "replace").decode().replace("??", "?")
    )
    scale = 0.72 * size_px / _STROKE_HEIGHT
    thickness = max(1, round(size_px / 14))
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    # OpenCV 5 measures the letters at hand, so the line is measured on letters that reach highest and lowest.
    (_, above), below = cv2.getTextSize("Agjp|", cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    height = max(math.ceil(1.2 * size_px), above + below + thickness)
    mask = np.zeros((height, max(1, width + thickness)), np.uint8)
    baseline = above + (height - above - below) // 2
    cv2.putText(mask, plain, (0, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    return mask
