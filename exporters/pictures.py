"""Choose the pictures that an export is calibrated and verified on: a folder of the user's, or built-in renders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.kernels import normalise, prepare_uint8
from edgevit.pictures import list_pictures, read_picture
from edgevit.scenes import shapes
from edgevit.spec import ImageSpec, Spec

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]

_SPREAD_SEED = 20
_BUILT_IN_SIZE_HW = (256, 320)


@dataclass(frozen=True)
class PictureSet:
    """Hold pictures that are read when they are needed.

    ``source`` is for people and manifests. ``truth`` holds the class of each picture where it is known.
    """

    source: str
    readers: tuple[Callable[[], Pixels], ...]
    truth: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.readers)

    def pixels(self, image: ImageSpec) -> Iterator[Pixels]:
        """Yield each picture after resize and crop, (h, w, 3) in the model's colour order."""
        for read in self.readers:
            yield prepare_uint8(read(), image, color="rgb")

    def tensors(self, image: ImageSpec) -> Iterator[Tensor]:
        """Yield each picture as an input tensor (1, 3, h, w)."""
        for pixels in self.pixels(image):
            yield normalise(pixels, image)

    def fingerprint(self) -> dict[str, Any]:
        """Return what a manifest says of the set: where from, how many, and one hash over all the pixels."""
        digest = hashlib.sha256()
        for read in self.readers:
            picture = read()
            digest.update(repr(picture.shape).encode())
            digest.update(np.ascontiguousarray(picture).tobytes())
        return {"source": self.source, "count": len(self), "sha256_of_pixels": digest.hexdigest()}


def from_folder(folder: str | Path, *, most: int) -> PictureSet:
    """Take up to ``most`` pictures of a folder, spread evenly over it in a fixed order."""
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder of pictures.")
    files = list_pictures(path, recursive=True)
    if not files:
        raise InputError(f"{path}: there are no pictures in it.")
    order = np.random.default_rng(_SPREAD_SEED).permutation(len(files))[:most]
    chosen = tuple(files[i] for i in sorted(order))
    return PictureSet(f"{path.name}/ ({len(chosen)} of {len(files)} pictures)", tuple(_reader(f) for f in chosen))


def built_in(spec: Spec, *, most: int, split: str) -> PictureSet:
    """Render pictures: the model's own kind with known classes for shapes, mixed scenes for every other model."""
    seed = shapes.split_seed(split)
    if spec.labels == shapes.LABELS:
        size = max(spec.image.size_hw)
        truth = tuple(index % len(shapes.LABELS) for index in range(most))
        return PictureSet(
            f"built-in renders (shapes-10, {split})", tuple(_shape_reader(i, seed, size) for i in range(most)), truth
        )
    return PictureSet(f"built-in renders (scenes, {split})", tuple(_scene_reader(i, seed) for i in range(most)))


def _reader(file: Path) -> Callable[[], Pixels]:
    return lambda: read_picture(file)


def _shape_reader(index: int, seed: int, size: int) -> Callable[[], Pixels]:
    return lambda: shapes.render(index, seed=seed, size=size)[0]


def _scene_reader(index: int, seed: int) -> Callable[[], Pixels]:
    return lambda: shapes.render_picture(index, seed=seed, size_hw=_BUILT_IN_SIZE_HW)[0]
