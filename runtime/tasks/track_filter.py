"""Learn, while tracking, a correlation filter that answers with a peak where the target is.

Principle: the filter that turns features F into a wanted map Y, in least squares over all cyclic shifts, is a quotient
of spectra, ``conj(F) Y / (sum |F|^2 + noise)`` a channel (Henriques et al., KCF, arXiv:1404.7584; the channels' own
features: Danelljan et al., arXiv:1510.07945). Learning is a running mean of both parts of the quotient. A share of the
first picture's parts never fades: whatever the running mean drifts to, the target as the user marked it still counts.
Shapes: features (C, h, w) of a square around the last box; places are rows and columns of that grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]
Map = npt.NDArray[np.float32]

FINER = 4
"""The answer is read off at a grid this much finer: its spectrum has no more than the coarse one's."""
_NEAR = 2.5
"""Cells around the peak that are the peak itself, where sharpness is judged."""


@dataclass(frozen=True)
class FilterPlan:
    """Hold the filter's numbers, as a bundle's spec gives them.

    ``width`` is the wanted peak's, in target sides; ``rate`` how fast the running mean forgets; ``kept`` the share of
    the first picture that stays; ``noise`` what keeps the quotient from dividing by nothing.
    """

    width: float = 0.1
    rate: float = 0.02
    kept: float = 0.3
    noise: float = 1e-2


@dataclass(frozen=True, eq=False)
class Answer:
    """Hold where the peak is, in cells from the grid's centre, how high, and how sharp it stands out."""

    dx: float
    dy: float
    height: float
    sharpness: float


@dataclass(eq=False)
class _Parts:
    """Hold the two parts of the quotient."""

    over: Spectra
    under: npt.NDArray[np.float32]


class CorrelationFilter:
    """Follow one target. ``target_hw`` is its size in cells of the grid, which is (h, w)."""

    def __init__(self, grid_hw: tuple[int, int], plan: FilterPlan) -> None:
        self._grid_hw = grid_hw
        self._plan = plan
        self._window = np.outer(*(np.hanning(n + 2)[1:-1] for n in grid_hw)).astype(np.float32)
        self._first: _Parts | None = None
        self._mean: _Parts | None = None

    def learn(self, features: Features, target_hw: tuple[float, float], at_xy: tuple[float, float] = (0, 0)) -> None:
        """Take a picture in; the target's centre stands ``at_xy`` cells from the grid's."""
        spectra = self._spectra(features)
        wanted = np.fft.rfft2(self._peak(target_hw, at_xy)).astype(np.complex64)
        parts = _Parts(wanted * spectra.conj(), (spectra.real**2 + spectra.imag**2).sum(0))
        if self._mean is None or self._first is None:
            self._first = self._mean = parts
            return
        old, rate = self._mean, self._plan.rate
        self._mean = _Parts(old.over + rate * (parts.over - old.over), old.under + rate * (parts.under - old.under))

    def find(self, features: Features) -> Answer:
        """Return where the target is."""
        assert self._first is not None
        assert self._mean is not None
        kept = self._plan.kept
        over = kept * self._first.over + (1 - kept) * self._mean.over
        under = kept * self._first.under + (1 - kept) * self._mean.under
        answer = (over * self._spectra(features)).sum(0) / (under + self._plan.noise * float(under.mean()))
        return read_off(answer, self._grid_hw)

    def _spectra(self, features: Features) -> Spectra:
        centred = features - features.mean((1, 2), keepdims=True)
        return np.fft.rfft2(centred * self._window).astype(np.complex64)

    def _peak(self, target_hw: tuple[float, float], at_xy: tuple[float, float]) -> Map:
        height, width = self._grid_hw
        sigma = max(0.5, self._plan.width * float(np.sqrt(target_hw[0] * target_hw[1])))
        rows = np.arange(height) - (height - 1) / 2 - at_xy[1]
        columns = np.arange(width) - (width - 1) / 2 - at_xy[0]
        peak: Map = np.exp(-0.5 * (rows[:, None] ** 2 + columns[None] ** 2) / sigma**2).astype(np.float32)
        return peak


def read_off(spectrum: npt.NDArray[np.complexfloating], grid_hw: tuple[int, int]) -> Answer:
    """Find the peak of a map that is given by its spectrum, between the grid's cells too."""
    height, width = grid_hw
    fine = _finer(spectrum, grid_hw)
    row, column = divmod(int(fine.argmax()), fine.shape[1])
    peak = float(fine[row, column])
    y, x = (row + _vertex(fine[:, column], row)) / FINER, (column + _vertex(fine[row], column)) / FINER
    coarse = fine[::FINER, ::FINER]
    rows, columns = np.arange(height) - y, np.arange(width) - x
    away = coarse[(rows[:, None] ** 2 + columns[None] ** 2) > _NEAR**2]
    spread = float(away.std()) or 1.0
    return Answer(x - (width - 1) / 2, y - (height - 1) / 2, peak, (peak - float(away.mean())) / spread)


def _finer(spectrum: npt.NDArray[np.complexfloating], grid_hw: tuple[int, int]) -> Map:
    """Put noughts between the highest waves: the same map at ``FINER`` times the places."""
    height, width = grid_hw
    half = height // 2
    wide = np.zeros((height * FINER, width * FINER // 2 + 1), np.complex64)
    wide[:half, : width // 2 + 1] = spectrum[:half]
    wide[-half:, : width // 2 + 1] = spectrum[-half:]
    fine: Map = np.fft.irfft2(wide, s=(height * FINER, width * FINER)).astype(np.float32) * FINER**2
    return fine


def _vertex(values: npt.NDArray[np.float32], at: int) -> float:
    """Return the top of the parabola through a peak and its neighbours, in places from the peak."""
    before, here, after = (float(values[i % len(values)]) for i in (at - 1, at, at + 1))
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))
