"""The correlation filter finds what it learnt where it went, and keeps what it was shown first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgevit.runtime.tasks.track_filter import CorrelationFilter, FilterPlan, read_off

GRID = (24, 24)
TARGET = (6.0, 6.0)
Features = npt.NDArray[np.float32]


def world(seed: int) -> Features:
    """Paint smooth features, 8 channels of 48 x 48."""
    noise = np.random.default_rng(seed).standard_normal((8, 48, 48))
    waves = np.fft.fftfreq(48)
    soft = np.exp(-40 * (waves[:, None] ** 2 + waves[None] ** 2))
    painted: Features = np.fft.ifft2(np.fft.fft2(noise) * soft).real.astype(np.float32)
    return painted


def seen(features: Features, dx: float = 0, dy: float = 0) -> Features:
    """Look at the middle of the world after it moved."""
    waves = np.fft.fftfreq(48)
    turn = np.exp(-2j * np.pi * (waves[:, None] * dy + waves[None] * dx))
    moved = np.fft.ifft2(np.fft.fft2(features) * turn).real
    return moved[:, 12:36, 12:36].astype(np.float32)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 1), (-3.3, 2.6), (4.5, -4)])
def test_the_peak_stands_where_the_target_went(dx: float, dy: float) -> None:
    filter_ = CorrelationFilter(GRID, FilterPlan())
    filter_.learn(seen(world(0)), TARGET)
    answer = filter_.find(seen(world(0), dx, dy))
    # The window draws the peak to the middle a little.
    assert answer.dx == pytest.approx(dx, abs=0.1 * abs(dx) + 0.05)
    assert answer.dy == pytest.approx(dy, abs=0.1 * abs(dy) + 0.05)


def test_a_target_off_the_middle_is_learnt_where_it_stands() -> None:
    filter_ = CorrelationFilter(GRID, FilterPlan())
    filter_.learn(seen(world(0), 2, 1), TARGET, (2, 1))
    answer = filter_.find(seen(world(0)))
    assert (answer.dx, answer.dy) == pytest.approx((0, 0), abs=0.25)


def test_another_world_answers_lower_and_less_sharply() -> None:
    filter_ = CorrelationFilter(GRID, FilterPlan())
    filter_.learn(seen(world(0)), TARGET)
    own, other = filter_.find(seen(world(0), 1, 1)), filter_.find(seen(world(1)))
    assert own.height > 3 * other.height
    assert own.sharpness > 3 * other.sharpness


def test_what_was_shown_first_is_known_after_any_number_of_others() -> None:
    plans = {"kept": FilterPlan(rate=0.5), "forgotten": FilterPlan(rate=0.5, kept=0.0)}
    heights = {}
    for name, plan in plans.items():
        filter_ = CorrelationFilter(GRID, plan)
        filter_.learn(seen(world(0)), TARGET)
        for seed in range(1, 30):
            filter_.learn(seen(world(seed)), TARGET)
        heights[name] = filter_.find(seen(world(0))).height
    assert heights["kept"] > 3 * heights["forgotten"]


def test_a_flat_map_has_a_finite_answer() -> None:
    filter_ = CorrelationFilter(GRID, FilterPlan())
    filter_.learn(seen(world(0)), TARGET)
    answer = filter_.find(np.zeros((8, *GRID), np.float32))
    assert np.isfinite([answer.dx, answer.dy, answer.height, answer.sharpness]).all()
    assert answer.height == 0


@pytest.mark.parametrize("grid", [(24, 24), (16, 20), (32, 32)])
def test_a_peak_between_cells_is_read_between_them(grid: tuple[int, int]) -> None:
    height, width = grid
    y, x = 9.3, 11.6
    rows, columns = np.arange(height) - y, np.arange(width) - x
    peak = np.exp(-0.5 * (rows[:, None] ** 2 + columns[None] ** 2) / 1.2**2)
    answer = read_off(np.fft.rfft2(peak), grid)
    assert answer.dx + (width - 1) / 2 == pytest.approx(x, abs=0.02)
    assert answer.dy + (height - 1) / 2 == pytest.approx(y, abs=0.02)
    assert answer.height == pytest.approx(1, abs=0.02)
