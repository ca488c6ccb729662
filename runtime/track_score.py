"""Score tracked boxes against true ones, with the measures that trackers are published with.

``auc`` and the two precisions are those of OTB and TrackingNet, ``ao`` and ``sr`` those of GOT-10k. The first frame is
given to the tracker and not counted; nor are frames in which the target cannot be seen. Figures of several sequences
are means of the sequences' own, so that a long one does not outweigh the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.overlaps import overlaps, success_auc

Box = tuple[float, float, float, float]
Values = npt.NDArray[np.float64]

NORMALISED = np.linspace(0, 0.5, 51)
_NEAR_PX = 20.0


@dataclass(frozen=True)
class TrackScore:
    """Hold shares of 1.

    ``auc`` is the mean share of frames whose overlap is above 0, 0.05 ... 1; ``precision`` the share whose centre is
    within 20 pixels; ``normalised`` the mean share whose centre is within 0 to half a box; ``ao`` the mean overlap;
    ``sr50`` and ``sr75`` the shares with an overlap above that; ``lost`` the share that does not touch the target.
    """

    frames: int
    auc: float
    precision: float
    normalised: float
    ao: float
    sr50: float
    sr75: float
    lost: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def overlap(one: Box, other: Box) -> float:
    """Return the share of two boxes x, y, w, h that both have: 1 is the same box."""
    return float(overlaps(one, other))


def score(found: Sequence[Box], true: Sequence[Box | None]) -> TrackScore:
    """Score a sequence; ``found`` and ``true`` begin with the frame that was given."""
    pairs = [(mine, theirs) for mine, theirs in zip(found[1:], true[1:], strict=True) if theirs is not None]
    shares = overlaps(*np.array(pairs, np.float64).reshape(-1, 2, 4).swapaxes(0, 1))
    gaps = np.array([_gap(mine, theirs) for mine, theirs in pairs]).reshape(-1, 4)
    centre_px = np.hypot(gaps[:, 0], gaps[:, 1])
    normalised = np.hypot(gaps[:, 0] / gaps[:, 2], gaps[:, 1] / gaps[:, 3])
    return TrackScore(
        frames=len(pairs),
        auc=success_auc(shares) if pairs else 0.0,
        precision=_mean(centre_px <= _NEAR_PX),
        normalised=_mean([(normalised <= limit).mean() for limit in NORMALISED] if pairs else []),
        ao=_mean(shares),
        sr50=_mean(shares > 0.5),
        sr75=_mean(shares > 0.75),
        lost=_mean(shares <= 0),
    )


def together(scores: Iterable[TrackScore]) -> TrackScore:
    """Return the mean over sequences."""
    kept = [one for one in scores if one.frames]
    means = {f.name: _mean([getattr(one, f.name) for one in kept]) for f in fields(TrackScore) if f.name != "frames"}
    return TrackScore(sum(one.frames for one in kept), **means)


def _gap(mine: Box, theirs: Box) -> tuple[float, float, float, float]:
    across = mine[0] + mine[2] / 2 - theirs[0] - theirs[2] / 2
    down = mine[1] + mine[3] / 2 - theirs[1] - theirs[3] / 2
    return across, down, theirs[2], theirs[3]


def _mean(values: Any) -> float:
    held = np.asarray(values, np.float64)
    return float(held.mean()) if held.size else 0.0
