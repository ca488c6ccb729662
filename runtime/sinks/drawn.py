"""Take the annotated picture of a result, and refuse what is none: a result may be of somebody's own making."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevit.errors import InputError

from ..frame import Pixels
from ..results import Result


def picture_of(result: Result) -> Pixels:
    """Return it, (height, width, 3) in RGB order."""
    picture: Any = result.plot()
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,) and picture.size:
        return picture
    got = f"{picture.shape} of {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
    raise InputError(f"A result's plot() must be (height, width, 3) of uint8 in RGB order, not {got}.")
