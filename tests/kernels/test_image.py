"""One call from any frame to the tensor: every layout, every awkward array, and a sentence for what cannot be."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevit import kernels
from edgevit.errors import InputError
from edgevit.kernels.forms import Pixels
from edgevit.spec import ImageSpec

SPEC = ImageSpec(size_hw=(24, 32), resize_hw=(28, 36))
RGB: Pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_every_order_of_the_same_colours_gives_the_same_tensor(form: str) -> None:
    wanted = kernels.prepare(RGB, SPEC, color="rgb")
    assert wanted.shape == (1, 3, 24, 32)
    assert wanted.dtype == np.float32
    assert wanted.flags.c_contiguous
    alpha = np.full((50, 70, 1), 7, np.uint8)
    frames = {
        "bgr": np.ascontiguousarray(RGB[:, :, ::-1]),
        "rgba": np.concatenate([RGB, alpha], axis=2),
        "bgra": np.concatenate([RGB[:, :, ::-1], alpha], axis=2),
    }
    for color, frame in frames.items():
        np.testing.assert_array_equal(kernels.prepare(frame, SPEC, color=color), wanted, err_msg=color)


def test_a_model_of_bgr_gets_bgr(form: str) -> None:
    swapped = ImageSpec((24, 32), (28, 36), color="bgr", mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229))
    got = kernels.prepare(RGB, swapped, color="rgb")
    np.testing.assert_array_equal(got[:, ::-1], kernels.prepare(RGB, SPEC, color="rgb"))
    levels = kernels.prepare_uint8(RGB, swapped, color="rgb")
    np.testing.assert_array_equal(levels[:, :, ::-1], kernels.prepare_uint8(RGB, SPEC, color="rgb"))


def test_grey_feeds_all_three_channels(form: str) -> None:
    grey = RGB[:, :, 0]
    got = kernels.prepare_uint8(grey, SPEC, color="gray")
    wanted = kernels.prepare_uint8(np.repeat(grey[:, :, None], 3, axis=2), SPEC, color="rgb")
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(kernels.prepare_uint8(grey[:, :, None], SPEC, color="gray"), wanted)


def test_the_tensor_is_the_levels_normalised(form: str) -> None:
    for fit in ("shorter", "squash", "pad"):
        image = ImageSpec((24, 32), (28, 36), fit=fit)
        levels = kernels.prepare_uint8(RGB, image, color="rgb")
        tensor = kernels.prepare(RGB, image, color="rgb")
        np.testing.assert_array_equal(kernels.normalise(levels, image), tensor)
        mean, std = (np.asarray(v, np.float64)[:, None, None] for v in (image.mean, image.std))
        real = (levels.transpose(2, 0, 1) / 255.0 - mean) / std
        np.testing.assert_allclose(tensor[0], real, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fit", ["shorter", "pad"])
def test_channels_come_last_where_the_file_wants_them_so(form: str, fit: Any) -> None:
    first = ImageSpec((40, 32), (44, 36), fit)
    last = dataclasses.replace(first, layout="nhwc")
    got = kernels.prepare(RGB, last, color="rgb")
    assert got.shape == (1, 40, 32, 3)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got.transpose(0, 3, 1, 2), kernels.prepare(RGB, first, color="rgb"))
    levels = kernels.prepare_uint8(RGB, last, color="rgb")
    np.testing.assert_array_equal(kernels.normalise(levels, last), got)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_file_that_normalises_itself_gets_the_levels(form: str, layout: Any) -> None:
    image = ImageSpec((40, 32), (44, 36), layout=layout, values="levels")
    levels = kernels.prepare_uint8(RGB, image, color="rgb")
    got = kernels.prepare(RGB, image, color="rgb")
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    rows = got[0] if layout == "nhwc" else got[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(rows, levels)
    np.testing.assert_array_equal(kernels.normalise(levels, image), got)


def test_borders_are_the_mean_colour(form: str) -> None:
    image = ImageSpec((40, 40), (40, 40), fit="pad")
    levels = kernels.prepare_uint8(np.zeros((10, 40, 3), np.uint8), image, color="rgb")
    assert (levels[:15] == (124, 116, 104)).all()
    assert (levels[15:25] == 0).all()
    assert (levels[25:] == (124, 116, 104)).all()
    assert np.abs(kernels.prepare(np.zeros((10, 40, 3), np.uint8), image, color="rgb")[0, :, :15]).max() < 0.01


views: dict[str, Any] = {
    "turned round": RGB[::-1, ::-1],
    "channels turned round": RGB[:, :, ::-1],
    "upside down": RGB[::-1],
    "every third": np.repeat(RGB, 3, axis=1)[:, ::3],
    "transposed": np.ascontiguousarray(RGB.transpose(1, 0, 2)).transpose(1, 0, 2),
    "fortran": np.asfortranarray(RGB),
    "inside another": np.pad(RGB, ((3, 4), (5, 6), (0, 0)))[3:-4, 5:-6],
    "three of four": np.concatenate([RGB, RGB], axis=2)[:, :, :3],
    "one row for all": np.broadcast_to(RGB[:1], RGB.shape),
    "one pixel for all": np.broadcast_to(RGB[:1, :1], RGB.shape),
}


@pytest.mark.parametrize("name", views)
def test_a_view_gives_what_its_copy_gives(form: str, name: str) -> None:
    view = views[name]
    read_only = view.view()
    read_only.setflags(write=False)
    wanted = kernels.prepare(view.copy(order="C"), SPEC, color="rgb")
    np.testing.assert_array_equal(kernels.prepare(read_only, SPEC, color="rgb"), wanted)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    fit=st.sampled_from(["shorter", "squash", "pad"]),
    kind=st.sampled_from(["bilinear", "bicubic", "nearest"]),
    antialias=st.booleans(),
    color=st.sampled_from(["rgb", "bgr", "gray", "rgba", "bgra"]),
)
def test_all_forms_give_the_same_bits(
    form: str,
    source: tuple[int, int],
    size: tuple[int, int],
    more: tuple[int, int],
    fit: Any,
    kind: Any,
    antialias: bool,
    color: str,
) -> None:
    image = ImageSpec(size, (size[0] + more[0], size[1] + more[1]), fit, kind, antialias)
    depth = {"gray": 1, "rgba": 4, "bgra": 4}.get(color, 3)
    pixels = np.random.default_rng(source).integers(0, 256, (*source, depth), dtype=np.uint8)
    got = kernels.prepare(pixels, image, color=color), kernels.prepare_uint8(pixels, image, color=color)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEVIT_KERNELS", "numpy")
        np.testing.assert_array_equal(got[0], kernels.prepare(pixels, image, color=color))
        np.testing.assert_array_equal(got[1], kernels.prepare_uint8(pixels, image, color=color))


@pytest.mark.parametrize("source", [(1, 1), (1, 30000), (30000, 1), (2, 3)])
@pytest.mark.parametrize("fit", ["shorter", "squash", "pad"])
def test_a_single_colour_survives_any_shape(form: str, source: tuple[int, int], fit: Any) -> None:
    image = ImageSpec((16, 16), (20, 20), fit, "bicubic", mean=(0.5, 0.5, 0.5))
    got = kernels.prepare_uint8(np.full((*source, 3), 128, np.uint8), image, color="rgb")
    assert (got == 128).all()


@pytest.mark.parametrize(
    ("pixels", "color", "sentence"),
    [
        (np.zeros((0, 5, 3), np.uint8), "rgb", "has no pixels"),
        (np.zeros((5, 0), np.uint8), "gray", "has no pixels"),
        (np.zeros((0, 4), np.uint8), "nv12", "has no pixels"),
        (np.zeros((5, 5, 3), np.float32), "rgb", "must be of uint8.*not float32"),
        (np.zeros((5, 5, 3), bool), "rgb", "must be of uint8.*not bool"),
        (np.zeros((5, 5, 4), np.uint8), "rgb", r"cannot be 'rgb', which is \(height, width, 3\)"),
        (np.zeros((5, 5, 3), np.uint8), "gray", "cannot be 'gray'"),
        (np.zeros((5, 5), np.uint8), "rgb", "cannot be 'rgb'"),
        (np.zeros((1, 3, 5, 5), np.uint8), "rgb", "cannot be 'rgb'"),
        (np.uint8(3), "gray", "must be a numpy array"),
        (np.zeros((), np.uint8), "gray", "cannot be 'gray'"),
        (np.zeros((10, 6), np.uint8), "nv12", "cannot be 'nv12'"),
        (np.zeros((9, 5), np.uint8), "i420", "cannot be 'i420'"),
        (np.zeros((4, 5, 2), np.uint8), "yuyv", "cannot be 'yuyv'"),
        (np.zeros((5, 5, 3), np.uint8), "hsv", "'hsv' is not known. Expected one of: rgb, bgr"),
        ([[1, 2]], "gray", "must be a numpy array, not list"),
        (None, "rgb", "must be a numpy array, not NoneType"),
        (np.broadcast_to(np.zeros((1, 1), np.uint8), (1 << 21, 1)), "gray", "too long"),
    ],
)
def test_what_cannot_be_a_picture_gets_a_sentence(pixels: Any, color: str, sentence: str) -> None:
    for call in (kernels.prepare, kernels.prepare_uint8):
        with pytest.raises(InputError, match=sentence):
            call(pixels, SPEC, color=color)
    with pytest.raises(InputError, match=sentence):
        kernels.to_rgb(pixels, color)


def test_resize_and_normalise_refuse_too() -> None:
    with pytest.raises(InputError, match="cannot be 'rgb'"):
        kernels.resize(np.zeros((5, 5, 4), np.uint8), (3, 3))
    with pytest.raises(InputError, match="'lanczos' is not known"):
        kernels.resize(RGB, (3, 3), "lanczos")  # type: ignore[arg-type]
    for size in ((0, 3), (3,), (3.5, 3), (1 << 20, 3)):
        with pytest.raises(InputError, match="size_hw must be two whole numbers"):
            kernels.resize(RGB, size)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be 'rgb'"):
        kernels.normalise(np.zeros((5, 5), np.uint8), SPEC)


def test_threads_do_not_disturb_each_other(form: str) -> None:
    frames = [np.roll(RGB, n, axis=0)[: 40 + n] for n in range(6)]
    wanted = [kernels.prepare(frame, SPEC, color="rgb") for frame in frames]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(kernels.prepare(frames[number], SPEC, color="rgb"), wanted[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
