"""Render "shapes-10": pictures of ten objects with any colour, texture, place and fault, and the right answer.

The ten are closed outlines that everybody names with one word. They keep their name under any turn, mirroring and
shear, so no label is a matter of taste; and they come in near pairs (disc and hexagon, ring and disc, crescent and
ring, triangle and arrow, square and cross), so a net that has lost a little precision makes mistakes that show.

The picture of (seed, index) is the same on every machine and, but for its grain, the same scene at every size. Its
label is ``index % 10``: any run of ten indices holds each class once. Seeds below 16 belong to the named splits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError, UnknownNameError

from .camera import U8, photograph
from .dice import Dice
from .grade import HARD as HARD
from .grade import PLAIN as PLAIN
from .grade import Grade as Grade
from .layers import View, paint_backdrop, paint_object, paint_occluder
from .outlines import OUTLINES

LABELS: Final[tuple[str, ...]] = tuple(OUTLINES)
SIZE: Final = 96

DEMO_SEED: Final = 0
TRAIN_SEED: Final = 1
VALIDATION_SEED: Final = 2
CALIBRATION_SEED: Final = 3
VERIFICATION_SEED: Final = 4
TEST_SEED: Final = 5
PICTURE_SEED: Final = 6
SPLITS: Final[dict[str, int]] = {
    "demo": DEMO_SEED,
    "train": TRAIN_SEED,
    "validation": VALIDATION_SEED,
    "calibration": CALIBRATION_SEED,
    "verification": VERIFICATION_SEED,
    "test": TEST_SEED,
    "picture": PICTURE_SEED,
}

_SIDE_LIMITS = (16, 4096)


def split_seed(split: str) -> int:
    """Return the seed of a named split; two splits never share a picture."""
    if split not in SPLITS:
        raise UnknownNameError(f"No split is called {split!r}. Choose one of: {', '.join(SPLITS)}.")
    return SPLITS[split]


def render(index: int, *, seed: int = DEMO_SEED, size: int = SIZE, grade: Grade = PLAIN) -> tuple[U8, int]:
    """Render one square picture (size, size, 3) in RGB, and its label."""
    dice = Dice(seed, index)
    view = View.of(_checked_hw((size, size)))
    label = int(index) % len(LABELS)
    canvas, colours = paint_backdrop(view, dice, grade, fields=dice.pick(grade.fields))
    thing = paint_object(canvas, view, dice, grade, LABELS[label], colours)
    for _ in range(dice.pick(grade.occluders)):
        paint_occluder(canvas, view, dice, grade, thing)
    return photograph(canvas, dice, view.x, view.y, view.pixel, worst=grade.worst), label


def render_batch(
    indices: Iterable[int], *, seed: int = DEMO_SEED, size: int = SIZE, grade: Grade = PLAIN
) -> tuple[U8, npt.NDArray[np.int64]]:
    """Render many pictures: (count, size, size, 3) and their labels, each the same as ``render`` gives alone.

    One picture at a time, all its pixels at once: 9,216 pixels of one plane stay in a core's nearest cache, which is
    faster than wider arrays over several pictures.
    """
    chosen = list(indices)
    _checked_hw((size, size))
    pictures = np.empty((len(chosen), size, size, 3), np.uint8)
    labels = np.empty(len(chosen), np.int64)
    for place, index in enumerate(chosen):
        pictures[place], labels[place] = render(index, seed=seed, size=size, grade=grade)
    return pictures, labels


def render_picture(index: int, *, size_hw: tuple[int, int] = (480, 640), seed: int = PICTURE_SEED) -> tuple[U8, int]:
    """Render one larger picture of any shape: several textured fields, one clear object, a mild camera.

    It is meant for the demos and proofs of other models, which need the edges, textures and colours of a photograph.
    """
    dice = Dice(seed, index)
    view = View.of(_checked_hw(size_hw))
    label = int(index) % len(LABELS)
    canvas, colours = paint_backdrop(view, dice, PLAIN, fields=dice.pick((3, 4, 5)))
    thing = paint_object(canvas, view, dice, PLAIN, LABELS[label], colours)
    if dice.chance(0.3):
        paint_occluder(canvas, view, dice, PLAIN, thing)
    return photograph(canvas, dice, view.x, view.y, view.pixel, worst=0.4), label


def _checked_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    low, high = _SIDE_LIMITS
    for side in size_hw:
        if isinstance(side, bool) or not isinstance(side, (int, np.integer)) or not low <= side <= high:
            raise InputError(f"A side of the picture must be a whole number from {low} to {high}, not {side!r}.")
    height, width = size_hw
    return int(height), int(width)
