"""Notice that the camera shows another scene: then nothing is near where it was."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .frame import Frame

_GRID = 16
_LEVELS = 38.0
"""Mean difference of two scenes. A pan moves edges and leaves most of a picture's levels; a cut changes them all."""
_TIMES = 4.0
"""And so much more than from frame to frame just before: a flickering or shaking camera cuts nothing."""


class SceneCuts:
    """Compare each frame with the one before, on a coarse grid of single pixels."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._usual = 0.0

    def see(self, frame: Frame) -> bool:
        """Tell whether this frame is of another scene than the last."""
        now = _sampled(frame)
        last, self._last = self._last, now
        if last is None or last.shape != now.shape:
            return last is not None
        change = float(np.abs(now - last).mean())
        cut = change > _LEVELS and change > _TIMES * self._usual
        if not cut:
            self._usual += 0.2 * (change - self._usual)
        return cut


def _sampled(frame: Frame) -> npt.NDArray[np.float32]:
    """Take single levels of the picture; which channel they are of does not matter, as long as it stays the same."""
    data = frame.data
    height, width = frame.size_hw
    rows = ((np.arange(_GRID) + 0.5) * height / _GRID).astype(int)
    columns = ((np.arange(_GRID) + 0.5) * width / _GRID).astype(int)
    sampled: npt.NDArray[np.float32] = data[rows[:, None], columns[None]].astype(np.float32)
    return sampled
