"""The whole path, JPEG to tensor, equals timm's evaluation transform: every fit, odd sizes, real pictures."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgevit import kernels
from edgevit.spec import Fit, ImageSpec, Interpolation

factory = pytest.importorskip("timm.data.transforms_factory", reason="the yardstick is timm's own transform")

PICTURES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "images"
MODES: dict[str, Fit] = {"center": "shorter", "squash": "squash", "border": "pad"}
# One of each family: input size, share kept by the crop, interpolation, mean and std as on its card.
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FAMILIES = {
    "mobilevit_s": (256, 0.9, "bicubic", ZERO, ONE),
    "mobilevitv2_100": (256, 0.888, "bicubic", ZERO, ONE),
    "efficientvit_m0": (224, 0.875, "bicubic", *IMAGENET),
    "shvit_s1": (224, 0.875, "bicubic", *IMAGENET),
    "levit_128s": (224, 0.9, "bicubic", *IMAGENET),
    "efficientformerv2_s0": (224, 0.95, "bicubic", *IMAGENET),
    "a_bilinear_one": (192, 0.875, "bilinear", *IMAGENET),
}


def spec_of(size: tuple[int, int], share: float, mode: str, kind: Interpolation, **more: Any) -> ImageSpec:
    resize_hw = (math.floor(size[0] / share), math.floor(size[1] / share))
    return ImageSpec(size, resize_hw, fit=MODES[mode], interpolation=kind, **more)


def by_timm(picture: Image.Image, image: ImageSpec, share: float, mode: str) -> Any:
    transform = factory.transforms_imagenet_eval(
        image.size_hw, share, mode, interpolation=image.interpolation, mean=image.mean, std=image.std
    )
    return transform(picture)[None].numpy()


@pytest.fixture
def across_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold Pillow to the order of its passes up to version 12, that of the years in which the weights were trained.

    Pillow 13 goes down first for a picture that loses more than twice as many rows as columns.
    """
    whole = Image.Image.resize

    def resize(self: Image.Image, size: tuple[int, int], resample: int | None = None, *rest: Any) -> Image.Image:
        return whole(whole(self, (size[0], self.height), resample, *rest), size, resample, *rest)

    monkeypatch.setattr(Image.Image, "resize", resize)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    size=st.sampled_from([(64, 64), (96, 64), (57, 91), (32, 32)]),
    share=st.sampled_from([0.875, 0.9, 0.95, 1.0]),
    mode=st.sampled_from(sorted(MODES)),
    kind=st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
def test_every_fit_equals_timm(
    across_first: None, source: tuple[int, int], size: tuple[int, int], share: float, mode: str, kind: Interpolation
) -> None:
    assume(max(source) < 30 * min(source))  # beyond, timm's border mode rounds a side to nothing and stops
    image = spec_of(size, share, mode, kind)
    pixels = np.random.default_rng(source[0] * 301 + source[1]).integers(0, 256, (*source, 3), dtype=np.uint8)
    wanted = by_timm(Image.fromarray(pixels), image, share, mode)
    np.testing.assert_array_equal(kernels.prepare(pixels, image, color="rgb"), wanted)


@pytest.mark.parametrize("source", [(1, 4000), (4000, 1)])
def test_a_sliver_keeps_a_pixel_where_timm_gives_up(form: str, source: tuple[int, int]) -> None:
    image = spec_of((32, 32), 1.0, "border", "bilinear")
    pixels = np.full((*source, 3), 200, np.uint8)
    got = kernels.prepare_uint8(pixels, image, color="rgb")
    assert (got == 200).all(axis=2).sum() == 32
    with pytest.raises(ValueError, match="must be > 0"):
        by_timm(Image.fromarray(pixels), image, 1.0, "border")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_jpeg_gives_the_tensor_of_timm(form: str, family: str) -> None:
    size, share, kind, mean, std = FAMILIES[family]
    image = spec_of((size, size), share, "center", kind, mean=mean, std=std)  # type: ignore[arg-type]
    picture = jpeg((331, 447))
    got = kernels.prepare(np.asarray(picture), image, color="rgb")
    np.testing.assert_array_equal(got, by_timm(picture, image, share, "center"))


def test_the_cards_of_timm_are_those_of_this_test() -> None:
    timm = pytest.importorskip("timm", reason="the cards are timm's")
    for name, (size, share, kind, mean, std) in FAMILIES.items():
        if name.startswith("a_"):
            continue
        card = timm.get_pretrained_cfg(name)
        assert (card.input_size[1], card.crop_pct, card.interpolation) == (size, share, kind), name
        assert (tuple(card.mean), tuple(card.std)) == (mean, std), name


@pytest.mark.skipif(not PICTURES.is_dir(), reason="the folder of real pictures, shared/data/images, is not here")
def test_real_pictures_give_the_tensor_of_timm(form: str, across_first: None) -> None:
    paths = sorted(PICTURES.glob("*.jpg"))[::97][:8]
    assert paths
    for path in paths:
        picture = Image.open(path).convert("RGB")
        for mode in MODES:
            image = spec_of((224, 224), 0.9, mode, "bicubic")
            got = kernels.prepare(np.asarray(picture), image, color="rgb")
            np.testing.assert_array_equal(got, by_timm(picture, image, 0.9, mode), err_msg=f"{path.name} {mode}")


def jpeg(size_hw: tuple[int, int]) -> Image.Image:
    """Make a picture with edges, slopes and noise, through a real JPEG."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    dice = np.random.default_rng(5)
    waves = [np.sin(x / 7 + c) * 60 + np.cos(y / (3 + c)) * 60 + 128 for c in range(3)]
    noisy = np.stack(waves, -1) + dice.normal(0, 12, (*size_hw, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return Image.open(buffer).convert("RGB")
