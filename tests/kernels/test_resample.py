"""Resizing equals Pillow's to the bit, plain resizing equals torch's to a level, and all forms agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgevit import kernels
from edgevit.kernels import weights
from edgevit.kernels.forms import Pixels
from edgevit.kernels.library import Library
from edgevit.spec import Interpolation

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))
kinds: st.SearchStrategy[Interpolation] = st.sampled_from(("bilinear", "bicubic", "nearest"))
PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
Wide = NDArray[np.int64]
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def noise(size_hw: tuple[int, int], seed: int) -> Pixels:
    """Half of the pictures are black and white only: the worst case for overshoot and rounding."""
    dice = np.random.default_rng(seed)
    levels = dice.integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return np.where(levels < 128, 0, 255).astype(np.uint8) if seed % 2 else levels


def pillow(pixels: Pixels, size_hw: tuple[int, int], kind: Interpolation) -> Pixels:
    """Resize across, then down: Pillow 13 would go down first for a tall picture, no earlier one did."""
    height, width = size_hw
    across = Image.fromarray(pixels).resize((width, pixels.shape[0]), PILLOW[kind])
    return np.asarray(across.resize((width, height), PILLOW[kind]))


@relaxed
@given(source=sizes, target=sizes, kind=kinds, seed=st.integers(0, 99))
def test_antialiased_resize_equals_pillow_to_the_bit(
    form: str, source: tuple[int, int], target: tuple[int, int], kind: Interpolation, seed: int
) -> None:
    pixels = noise(source, seed)
    np.testing.assert_array_equal(kernels.resize(pixels, target, kind), pillow(pixels, target, kind))


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_one_call_of_pillow_gives_the_same_for_a_camera_frame(form: str, kind: Interpolation) -> None:
    pixels = noise((270, 480), 2)
    wanted = np.asarray(Image.fromarray(pixels).resize((171, 96), PILLOW[kind]))
    np.testing.assert_array_equal(kernels.resize(pixels, (96, 171), kind), wanted)


@relaxed
@given(source=sizes, target=sizes, kind=st.sampled_from(("bilinear", "bicubic")), seed=st.integers(0, 99))
def test_plain_resize_equals_the_oracle_in_every_form(
    form: str, source: tuple[int, int], target: tuple[int, int], kind: Interpolation, seed: int
) -> None:
    pixels = noise(source, seed)
    y = weights.build(source[0], target[0], 0, target[0], kind, False)
    x = weights.build(source[1], target[1], 0, target[1], kind, False)
    across = rounded(np.tensordot(pixels.astype(np.int64), dense(x, source[1]), (1, 1)))  # (rows, channels, columns)
    wanted = rounded(np.tensordot(dense(y, source[0]), across, 1)).transpose(0, 2, 1)
    np.testing.assert_array_equal(kernels.resize(pixels, target, kind, antialias=False), wanted)


def rounded(sums: Wide) -> Wide:
    levels: Wide = np.clip((sums + (1 << (weights.FRACTION_BITS - 1))) >> weights.FRACTION_BITS, 0, 255)
    return levels


def dense(axis: weights.Axis, source: int) -> Wide:
    matrix = np.zeros((axis.size, source), np.int64)
    for tap in range(axis.taps):
        matrix[np.arange(axis.size), axis.starts + tap] += axis.weights[:, tap]
    return matrix


@pytest.mark.parametrize("target", [(40, 60), (13, 200), (150, 7), (1, 1)])
def test_plain_resize_is_torch_interpolate_to_a_level(target: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="the comparison with torch needs torch")
    pixels = noise((67, 91), 4)
    planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.interpolate(planes, size=target, mode="bilinear", align_corners=False)
    got = kernels.resize(pixels, target, "bilinear", antialias=False).astype(np.float32)
    assert np.abs(got - wanted[0].permute(1, 2, 0).numpy()).max() <= 1.0


@relaxed
@given(
    source=st.integers(1, 3000),
    target=st.integers(1, 3000),
    kind=kinds,
    antialias=st.booleans(),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_library_computes_the_same_weights(
    native_library: object, source: int, target: int, kind: Interpolation, antialias: bool, part: tuple[float, float]
) -> None:
    first = int(part[0] * (target - 1))
    count = 1 + int(part[1] * (target - 1 - first))
    wanted = weights.build(source, target, first, count, kind, antialias)
    opened = Library(native_library)  # type: ignore[arg-type]
    number = ["nearest", "bilinear", "bicubic"].index(kind)
    taps = opened.ask("taps", source, target, number, int(antialias))
    starts, values = np.zeros(count, np.int32), np.zeros((count, taps), np.int32)
    opened.call(
        "weights", source, target, first, count, number, int(antialias), taps, starts.ctypes.data, values.ctypes.data
    )
    np.testing.assert_array_equal(dense(weights.Axis(starts, values), source), dense(wanted, source))


@pytest.mark.parametrize("kind", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("source", "target"), [(1, 1), (1, 500), (500, 1), (2, 3), (3, 2), (4097, 31), (31, 4097)])
def test_weights_are_whole_inside_and_sum_to_one(
    kind: Interpolation, antialias: bool, source: int, target: int
) -> None:
    axis = weights.build(source, target, 0, target, kind, antialias)
    assert axis.starts.min() >= 0
    assert axis.stop <= source
    assert (np.diff(axis.starts) >= 0).all()
    assert np.abs(axis.weights.sum(axis=1) - (1 << weights.FRACTION_BITS)).max() <= axis.taps


def test_grey_pictures_stay_grey(form: str) -> None:
    grey = noise((20, 30), 6)[:, :, 0]
    got = kernels.resize(grey, (11, 17))
    np.testing.assert_array_equal(got, np.asarray(Image.fromarray(grey).resize((17, 11), Image.Resampling.BILINEAR)))
