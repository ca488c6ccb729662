"""Decide what a tracker's certainty means: tracking, uncertain, lost, left, found. Numbers in, a state out.

One bad look is a doubt and no loss: a hand passes, a frame blurs. A run of them is a loss; then one look must be much
better than what was enough before, or a look-alike is taken for the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from edgevit.spec import TrackSpec

TrackState = Literal["tracking", "uncertain", "lost", "found", "left"]


@dataclass(frozen=True)
class Tuning:
    """Hold the numbers of the runtime's part; a bundle's spec may name any of them under ``tuning``.

    ``sure``, ``doubt`` and ``again`` are certainties: above the first it is the target, below the second it is not,
    and only from the third on is a lost one found. ``patience`` is how many doubtful frames make a loss. ``smooth`` is
    the share of a new size that is taken, ``agree`` how far apart net and filter may be, in target sides, to be
    averaged, and ``filter`` the filter's share of that average. ``width``, ``rate``, ``kept`` and ``noise`` are the
    filter's own (``track_filter.py``), ``sharp`` the sharpness from which it is believed without the net. ``habit`` is
    the share of what the net's box was off in the first frame that is undone in the others (``track_habit.py``), and
    ``strain`` how much less a box is believed that changed its size or shape (``likelihood``).
    """

    sure: float = 0.5
    doubt: float = 0.2
    again: float = 0.6
    patience: float = 6
    smooth: float = 0.4
    agree: float = 0.5
    filter: float = 0.5
    sharp: float = 6.0
    width: float = 0.1
    rate: float = 0.02
    kept: float = 0.3
    noise: float = 0.01
    habit: float = 0.0
    strain: float = 0.0

    @classmethod
    def of(cls, spec: TrackSpec) -> Tuning:
        """Read the numbers of a bundle; names that are not known here belong to another version."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in spec.tuning if name in known})


def likelihood(found_wh: tuple[float, float], last_wh: tuple[float, float], strain: float) -> float:
    """Return by how much to believe a box, 0..1, that has these sides after those (Li et al., arXiv:1802.02611).

    Nothing grows threefold from frame to frame; what seems to is mostly something else.
    """
    if strain <= 0 or min(*found_wh, *last_wh) <= 0:
        return 1.0
    size = abs(math.log(found_wh[0] * found_wh[1] / (last_wh[0] * last_wh[1]))) / 2
    shape = abs(math.log(found_wh[0] / found_wh[1] * last_wh[1] / last_wh[0]))
    return math.exp(-strain * math.expm1(min(size + shape, 10.0)))


class Life:
    """Hold one target's state."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._doubts = 0
        self.state: TrackState = "tracking"

    @property
    def gone(self) -> bool:
        """Whether the target must be searched for."""
        return self.state in ("lost", "left")

    @property
    def frames_gone(self) -> int:
        """Return for how many frames it has been searched for."""
        return max(0, self._doubts - int(self._tuning.patience))

    def believes(self, certainty: float) -> bool:
        """Tell whether a look is good enough to move the box by it."""
        return certainty >= (self._tuning.again if self.gone else self._tuning.doubt)

    def next(self, certainty: float, *, at_edge: bool) -> TrackState:
        """Take a frame's best certainty in; ``at_edge`` is whether the last box reached the picture's edge."""
        if self.gone:
            self._doubts += 1
            if certainty >= self._tuning.again:
                self._doubts = 0
                self.state = "found"
            return self.state
        if certainty >= self._tuning.doubt:
            self._doubts = 0
            self.state = "tracking" if certainty >= self._tuning.sure else "uncertain"
            return self.state
        self._doubts += 1
        if self._doubts >= self._tuning.patience:
            self.state = "left" if at_edge else "lost"
        else:
            self.state = "uncertain"
        return self.state
