"""Camera layouts become RGB as BT.601 says, within a level of the real numbers, and alike in every form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevit import kernels
from edgevit.kernels.forms import Pixels
from edgevit.spec import ImageSpec

LAYOUTS = ("nv12", "i420", "yuyv")


def frame(layout: str, height: int, width: int, seed: int) -> Pixels:
    shape = (height, width, 2) if layout == "yuyv" else (height * 3 // 2, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_the_book(data: Pixels, layout: str) -> Pixels:
    """Work in real numbers, from the definition of BT.601 with luma 16..235 and chroma 16..240."""
    if layout == "yuyv":
        luma, u, v = data[:, :, 0], data[:, 0::2, 1].repeat(2, 1), data[:, 1::2, 1].repeat(2, 1)
    else:
        height = data.shape[0] * 2 // 3
        luma, chroma = data[:height], data[height:].reshape(-1)
        u, v = (chroma[0::2], chroma[1::2]) if layout == "nv12" else np.split(chroma, 2)
        u, v = (plane.reshape(height // 2, -1).repeat(2, 0).repeat(2, 1) for plane in (u, v))
    y, pb, pr = (luma - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    red, blue = y + 2 * (1 - 0.299) * pr, y + 2 * (1 - 0.114) * pb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=st.sampled_from(LAYOUTS), half=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
def test_rgb_is_that_of_the_book(form: str, layout: str, half: tuple[int, int], seed: int) -> None:
    data = frame(layout, 2 * half[0], 2 * half[1], seed)
    got = kernels.to_rgb(data, layout)
    assert np.abs(got - by_the_book(data, layout)).max() < 0.6
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEVIT_KERNELS", "numpy")
        np.testing.assert_array_equal(got, kernels.to_rgb(data, layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_opencv_agrees_to_a_level(form: str, layout: str) -> None:
    cv2 = pytest.importorskip("cv2", reason="the comparison with OpenCV needs it")
    code = {"nv12": "NV12", "i420": "I420", "yuyv": "YUY2"}[layout]
    data = np.clip(frame(layout, 36, 52, 3), 16, 240)
    wanted = cv2.cvtColor(data, getattr(cv2, f"COLOR_YUV2RGB_{code}")).astype(int)
    assert np.abs(kernels.to_rgb(data, layout) - wanted).max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fit", ["shorter", "squash", "pad"])
def test_a_camera_frame_goes_straight_to_the_tensor(form: str, layout: str, fit: str) -> None:
    image = ImageSpec((24, 30), (25, 33), fit=fit, color="bgr")  # type: ignore[arg-type]
    data = frame(layout, 90, 62, 8)
    wanted = kernels.prepare(kernels.to_rgb(data, layout), image, color="rgb")
    np.testing.assert_array_equal(kernels.prepare(data, image, color=layout), wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_padded_rows_of_a_driver_are_read_right(form: str, layout: str) -> None:
    data = frame(layout, 12, 18, 9)
    padded = np.zeros((data.shape[0], 64, *data.shape[2:]), np.uint8)
    padded[:, :18] = data
    wanted = kernels.to_rgb(data, layout)
    np.testing.assert_array_equal(kernels.to_rgb(padded[:, :18], layout), wanted)
    np.testing.assert_array_equal(kernels.to_rgb(np.asfortranarray(data), layout), wanted)


def test_known_colours(form: str) -> None:
    known = {(16, 128, 128): (0, 0, 0), (235, 128, 128): (255, 255, 255), (81, 90, 240): (255, 0, 0)}
    for (y, u, v), rgb in known.items():
        got = kernels.to_rgb(np.array([[[y, u], [y, v]]], np.uint8), "yuyv")
        assert np.abs(got[0, 0].astype(int) - rgb).max() <= 1


def test_packed_layouts_become_rgb() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert kernels.to_rgb(rgb, "rgb") is rgb
    for layout, data in (("bgr", rgb[:, :, ::-1]), ("bgra", np.dstack([rgb[:, :, ::-1], rgb[:, :, :1]]))):
        got = kernels.to_rgb(data, layout)
        np.testing.assert_array_equal(got, rgb)
        assert got.flags.c_contiguous
    np.testing.assert_array_equal(kernels.to_rgb(rgb[:, :, 0], "gray"), rgb[:, :, [0, 0, 0]])
