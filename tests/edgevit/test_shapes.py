"""Test the built-in pictures: the same everywhere, balanced, kept apart, recognisable."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.errors import InputError, UnknownNameError
from edgevit.scenes import shapes
from edgevit.scenes.camera import blurred
from edgevit.scenes.colours import apart, pair_apart_from
from edgevit.scenes.dice import GRAIN_SIGMA, LIMIT, Dice
from edgevit.scenes.grade import HARD, PLAIN
from edgevit.scenes.layers import View, paint_backdrop, paint_object
from edgevit.scenes.outlines import OUTLINES, coverage
from edgevit.scenes.textures import TEXTURES

# Every operation of the renderer is rounded in one way only (see edgevit/scenes/__init__.py), so these hold on every
# machine. If one changes, the test split is another one, and the figures of the shipped card are no longer its own.
GOLDEN_HARD = "d3596b384c644e30"
GOLDEN_BATCH = "6f3105b29e6bcabf"
GOLDEN_224 = "75536728b5d8ce35"
GOLDEN_PICTURE = "c035e248721a2c81"


def _hash(picture: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()[:16]


def _hard(count: int) -> Any:
    """Return the first pictures that the shipped weights learnt from."""
    return shapes.render_batch(range(count), seed=shapes.TRAIN_SEED, grade=HARD)[0]


def test_pixels_are_the_same_on_every_machine() -> None:
    assert _hash(shapes.render_batch(range(60), seed=shapes.TEST_SEED)[0]) == GOLDEN_BATCH
    assert hashlib.sha256(_hard(200).tobytes()).hexdigest()[:16] == GOLDEN_HARD
    assert _hash(shapes.render(13, size=224)[0]) == GOLDEN_224
    assert _hash(shapes.render_picture(4)[0]) == GOLDEN_PICTURE


def test_batch_is_what_render_gives_alone() -> None:
    indices = [7, 3, 3, 1_000_000]
    pictures, labels = shapes.render_batch(indices, seed=9, size=48)
    for picture, label, index in zip(pictures, labels, indices, strict=True):
        alone, alone_label = shapes.render(index, seed=9, size=48)
        assert np.array_equal(picture, alone)
        assert label == alone_label == index % 10
    assert shapes.render_batch([])[0].shape == (0, 96, 96, 3)


def test_a_run_of_ten_holds_each_class_once() -> None:
    _, labels = shapes.render_batch(range(137, 157), size=16)
    assert np.bincount(labels).tolist() == [2] * 10


def test_splits_never_share_a_picture() -> None:
    seeds = [shapes.split_seed(split) for split in shapes.SPLITS]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 16 for seed in seeds)
    hashes = [{_hash(p) for p in shapes.render_batch(range(30), seed=seed, size=32)[0]} for seed in seeds]
    assert all(len(own) == 30 for own in hashes)
    assert all(not one & other for one, other in combinations(hashes, 2))


@given(st.integers(0, LIMIT - 1), st.integers(0, LIMIT - 1), st.integers(0, LIMIT - 1), st.integers(0, LIMIT - 1))
def test_no_two_pairs_of_numbers_share_a_stream(seed: int, index: int, other_seed: int, other_index: int) -> None:
    same = (seed, index) == (other_seed, other_index)
    one, other = Dice(seed, index), Dice(other_seed, other_index)
    assert ([one.unit() for _ in range(3)] == [other.unit() for _ in range(3)]) == same


@pytest.mark.parametrize("split", ["", "training", "Test"])
def test_unknown_split_is_answered_with_the_known(split: str) -> None:
    with pytest.raises(UnknownNameError, match="verification"):
        shapes.split_seed(split)


@settings(max_examples=25, deadline=None)
@given(
    index=st.integers(0, LIMIT - 1),
    seed=st.integers(0, LIMIT - 1),
    size_hw=st.tuples(st.integers(16, 130), st.integers(16, 130)),
)
def test_any_legal_call_gives_a_real_picture(index: int, seed: int, size_hw: tuple[int, int]) -> None:
    for picture, label, hw in (
        (*shapes.render(index, seed=seed, size=size_hw[0]), (size_hw[0], size_hw[0])),
        (*shapes.render_picture(index, seed=seed, size_hw=size_hw), size_hw),
    ):
        assert picture.shape == (*hw, 3)
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        assert label == index % 10
        assert int(picture.max()) - int(picture.min()) > 20


@pytest.mark.parametrize("bad", [-1, LIMIT, 1.0, "3", None, True])
def test_bad_numbers_are_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="index must be a whole number"):
        shapes.render(bad)
    with pytest.raises(InputError, match="seed must be a whole number"):
        shapes.render(0, seed=bad)


@pytest.mark.parametrize("bad", [0, 15, 4097, 96.0, "96", True])
def test_bad_sizes_are_refused(bad: Any) -> None:
    for call in (
        lambda: shapes.render(0, size=bad),
        lambda: shapes.render_batch([], size=bad),
        lambda: shapes.render_picture(0, size_hw=(bad, 64)),
    ):
        with pytest.raises(InputError, match="from 16 to 4096"):
            call()


def test_numpy_integers_are_welcome() -> None:
    assert np.array_equal(shapes.render(np.int64(5), seed=np.uint8(2))[0], shapes.render(5, seed=2)[0])


@pytest.mark.parametrize("index", range(10))
def test_a_scene_is_the_same_at_every_size(index: int) -> None:
    small, _ = shapes.render(index, size=64)
    large, _ = shapes.render(index, size=256)
    shrunk = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 14  # grain and the softness of fine textures remain


def test_outlines_are_ten_different_shapes_of_like_size() -> None:
    view = View.of((64, 64))
    x, y = (view.x + 0 * view.y) * 1.1, (view.y + 0 * view.x) * 1.1
    covers = {name: coverage(field(x, y))[0] for name, field in OUTLINES.items()}
    assert tuple(covers) == shapes.LABELS
    assert len(covers) == 10
    for name, cover in covers.items():
        assert 0.1 < cover.mean() < 0.65, name
        assert max(cover[0].max(), cover[-1].max(), cover[:, 0].max(), cover[:, -1].max()) == 0, name
    for one, other in combinations(covers, 2):
        differ = np.abs(covers[one] - covers[other]).mean()
        assert differ > 0.04, (one, other)


def test_an_edge_is_one_pixel_wide_and_exact_in_area() -> None:
    view = View.of((400, 400))
    cover, distance_px = coverage(OUTLINES["disc"](view.x + 0 * view.y, view.y + 0 * view.x))
    assert cover.sum() * view.pixel**2 == pytest.approx(np.pi * 0.86**2, rel=1e-3)
    assert 1.0 < ((cover > 0) & (cover < 1)).sum() / (2 * np.pi * 0.86 / view.pixel) < 2.0
    assert distance_px[200, 200] < -100


def test_enough_of_the_object_is_seen() -> None:
    """Object and occluders leave most of the object in the frame and uncovered, whatever the dice say."""
    view = View.of((96, 96))
    for index in range(60):
        dice = Dice(77, index)
        canvas, colours = paint_backdrop(view, dice, HARD, fields=1)
        thing = paint_object(canvas, view, dice, HARD, shapes.LABELS[index % 10], colours)
        assert thing.cover.sum() > 250, index
        assert np.isfinite(canvas).all()
    assert PLAIN.hidden <= HARD.hidden <= 0.4


def test_object_stands_apart_from_its_backdrop() -> None:
    dice = Dice(0, 0)
    others = [(0.5, 0.5, 0.5), (0.1, 0.7, 0.3)]
    nearest = [
        min(apart(mine, other) for mine in pair_apart_from(others, dice, PLAIN) for other in others) for _ in range(200)
    ]
    assert np.quantile(nearest, 0.05) >= PLAIN.contrast


@pytest.mark.parametrize("name", sorted(TEXTURES))
def test_textures_mix_two_colours(name: str) -> None:
    view = View.of((96, 96))
    for seed in range(5):
        mix = TEXTURES[name](view.x, view.y, Dice(seed, 0), view.pixel)
        assert mix.shape == (96, 96)
        assert mix.dtype == np.float32
        assert 0 <= mix.min() <= mix.max() <= 1
        assert name == "plain" or mix.std() > 0.1


def test_grain_is_nearly_normal() -> None:
    grain = Dice(1, 2).grain((200, 200)).astype(np.float64)
    assert abs(grain.mean()) < 3
    assert grain.std() == pytest.approx(GRAIN_SIGMA, rel=0.02)


@pytest.mark.parametrize("sigma_px", [0.0, 0.4, 1.0, 3.0, 7.0])
def test_blur_has_the_width_it_was_asked_for(sigma_px: float) -> None:
    point = np.zeros((1, 101, 101), np.float32)
    point[0, 50, 50] = 1
    spread = blurred(point, sigma_px)[0]
    place = np.arange(101) - 50
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    assert float((spread.sum(0) * place**2).sum()) == pytest.approx(sigma_px**2, abs=0.03)


def test_scenes_load_no_torch() -> None:
    code = (
        "import sys, edgevit.scenes.shapes, edgevit.weights; "
        "print([m for m in ('torch', 'PIL', 'cv2') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
