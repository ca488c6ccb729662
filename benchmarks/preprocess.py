"""Time the way from a camera frame (1280 x 720) to an input tensor (1, 3, 224, 224) against the usual ones.

    EDGEVIT_KERNELS_LIBRARY=build/native/libedgevit_kernels.so python -m benchmarks.preprocess [--rounds 60]

Every round runs each way once, in turn, on one thread, and takes the thread's own time, so that a busy machine disturbs
little; the table holds medians and their ratio to the quickest.
"off by" is the largest distance, in grey levels, to what Pillow and torchvision make of the same frame.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edgevit import kernels
from edgevit.kernels.forms import Floats, Pixels
from edgevit.spec import ImageSpec, Interpolation

BILINEAR = ImageSpec((224, 224), (256, 256))
BICUBIC = ImageSpec((224, 224), (256, 256), interpolation="bicubic")
MEAN, STD = (np.asarray(values, np.float32) for values in (BILINEAR.mean, BILINEAR.std))
TOP, LEFT = 16, round((455 - 224) / 2)
Way = Callable[[], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    frame = scene()
    ways = {**ours(frame), **by_pillow(frame), **by_opencv(frame)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name, way in ways.items():
            if name.startswith("numpy") and number % 10:
                continue  # slow: a tenth of the rounds is enough
            begin = time.thread_time()
            way()
            if number >= 3:
                times[name].append((time.thread_time() - begin) * 1e3)
    truth = {name: way() for name, way in ways.items() if name.startswith("Pillow")}
    medians = {name: statistics.median(values) for name, values in times.items() if values}
    best = min(medians.values())
    print(f"{platform.machine()}, {kernels.status()['cpu_features']}, one thread, medians of {rounds} rounds")
    print(f"{'way':38} {'ms':>7} {'ratio':>6} {'off by':>9}")
    for name, median in medians.items():
        yardstick = truth["Pillow bicubic + numpy" if "bicubic" in name else "Pillow bilinear + numpy"]
        apart = f"{levels_apart(ways[name](), yardstick):9.1f}" if "NV12" not in name else f"{'-':>9}"
        print(f"{name:38} {median:7.2f} {median / best:6.1f} {apart}")


def scene() -> Pixels:
    """Draw a frame with slopes, edges and some noise, as a camera gives."""
    y, x = np.mgrid[:720, :1280]
    waves = np.stack([np.sin(x / (9 + c)) * 50 + np.cos(y / (7 + c)) * 50 + 128 for c in range(3)], axis=-1)
    waves[200:500, 500:900] += 60
    noisy = waves + np.random.default_rng(0).normal(0, 4, waves.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def ours(frame: Pixels) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    for form in reversed(kernels.status()["architectures"]):
        for kind, image in (("bilinear", BILINEAR), ("bicubic", BICUBIC)):
            ways[f"{form} {kind}"] = with_form(form, frame, image, "rgb")
    luma = np.ascontiguousarray(frame[:, :, 1])
    nv12 = np.concatenate([luma, np.full((360, 1280), 128, np.uint8)])
    ways["best, from grey NV12, bilinear"] = with_form("", nv12, BILINEAR, "nv12")
    return ways


def with_form(form: str, frame: Pixels, image: ImageSpec, color: str) -> Way:
    def way() -> Floats:
        os.environ["EDGEVIT_KERNELS"] = form
        return kernels.prepare(frame, image, color=color)

    return way


def by_pillow(frame: Pixels) -> dict[str, Way]:
    from PIL import Image

    def way(kind: Interpolation) -> Way:
        box = (LEFT, TOP, LEFT + 224, TOP + 224)
        filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
        return lambda: tensor(np.asarray(Image.fromarray(frame).resize((455, 256), filters[kind]).crop(box)))

    return {"Pillow bilinear + numpy": way("bilinear"), "Pillow bicubic + numpy": way("bicubic")}


def by_opencv(frame: Pixels) -> dict[str, Way]:
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(1)

    def way(kind: int) -> Way:
        def run() -> Floats:
            small: Any = cv2.resize(frame, (455, 256), interpolation=kind)
            return tensor(small[TOP : TOP + 224, LEFT : LEFT + 224])

        return run

    return {"cv2 INTER_AREA + numpy": way(cv2.INTER_AREA), "cv2 INTER_LINEAR + numpy": way(cv2.INTER_LINEAR)}


def tensor(pixels: Pixels) -> Floats:
    floats: Floats = (pixels.astype(np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(floats.transpose(2, 0, 1)[None])


def levels_apart(got: Floats, wanted: Floats) -> float:
    return float((np.abs(got - wanted) * 255 * STD[:, None, None]).max())


if __name__ == "__main__":
    main()
