"""Film a red box that walks over grey grain: frames, folders and videos for whatever follows a colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevit.pictures import write_picture
from edgevit.runtime import Frame

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
SIZE_HW = (120, 160)
RED = (230, 30, 40)
FIRST = "40,40,24,20"


def box_xywh(index: int) -> Box:
    """Return where the box is in a frame: it walks to the right by 2 pixels a frame."""
    return 40.0 + 2 * index, 40.0, 24.0, 20.0


def picture(index: int, *, size_hw: tuple[int, int] = SIZE_HW, shown: bool = True) -> Pixels:
    """Paint a frame; of another size than usual the whole scene is stretched."""
    grain = np.random.default_rng(index).integers(90, 150, (*size_hw, 1), np.uint8)
    canvas = np.repeat(grain, 3, axis=2)
    if shown:
        down, right = (new / old for new, old in zip(size_hw, SIZE_HW, strict=True))
        x, y, w, h = box_xywh(index)
        canvas[round(y * down) : round((y + h) * down), round(x * right) : round((x + w) * right)] = RED
    return canvas


def frames(count: int) -> list[Frame]:
    """Return frames at 30 a second."""
    return [Frame(picture(n), "rgb", n * 1_000_000_000 // 30, n) for n in range(count)]


def folder(path: Path, pictures: Sequence[Pixels]) -> Path:
    """Write pictures 000.png, 001.png …"""
    path.mkdir(parents=True, exist_ok=True)
    for number, rgb in enumerate(pictures):
        write_picture(path / f"{number:03d}.png", rgb)
    return path


def video(path: Path, pictures: Sequence[Pixels]) -> Path:
    """Write a video, 30 frames a second; a bare stream (.h264) may be glued to another."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "5"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for rgb in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path
