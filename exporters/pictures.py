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
_GOLDEN_SIZE_HW = (150, 200)
_FEW = 20


@dataclass(frozen=True)
class PictureSet:
    """Hold pictures that are read when they are needed.

    ``source`` is for people and manifests. ``names`` tell one picture from another: a file's path, a render's number.
    ``truth`` holds the class of each picture where it is known.
    """

    source: str
    names: tuple[str, ...]
    readers: tuple[Callable[[], Pixels], ...]
    truth: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.readers)

    def pixels(self, image: ImageSpec) -> Iterator[Pixels]:
        """Yield each picture after resize and crop, (h, w, 3) in the model's colour order."""
        for read in self.readers:
            yield prepare_uint8(read(), image, color="rgb")

    def tensors(self, image: ImageSpec) -> Iterator[Tensor]:
        """Yield each picture as an input tensor of one row, in the layout that ``image`` says."""
        for pixels in self.pixels(image):
            yield normalise(pixels, image)

    def rows(self, graph: str, image: ImageSpec) -> Iterator[tuple[Tensor, ...]]:
        """Yield the same for a graph whose one input is a picture."""
        for tensor in self.tensors(image):
            yield (tensor,)

    def fingerprint(self) -> dict[str, Any]:
        """Return what a manifest says of the set: where from, how many, a hash over the files (or renders' numbers)."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(Path(name).read_bytes() if Path(name).is_file() else name.encode())
        return {"source": self.source, "count": len(self), "sha256": digest.hexdigest()}


def from_folder(folder: str | Path, *, most: int, after: int = 0) -> PictureSet:
    """Take up to ``most`` pictures of a folder, spread evenly over it, in a fixed order.

    ``after`` leaves out as many of that order, so that a proof need not use the pictures of the calibration; where too
    few would be left, the first are taken again.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder of pictures.")
    files = list_pictures(path, recursive=True)
    if not files:
        raise InputError(f"{path}: there are no pictures in it.")
    order = np.random.default_rng(_SPREAD_SEED).permutation(len(files))
    fresh = order[after : after + most]
    chosen = tuple(files[i] for i in sorted(fresh if len(fresh) >= min(most, _FEW) else order[:most]))
    source = f"{path.resolve().name}/ ({len(chosen)} of {len(files)} pictures)"
    return PictureSet(source, tuple(str(file.resolve()) for file in chosen), tuple(_reader(file) for file in chosen))


def built_in(spec: Spec, *, most: int, split: str) -> PictureSet:
    """Render pictures: the model's own kind with known classes for shapes, mixed scenes for every other model."""
    seed = shapes.split_seed(split)
    own = spec.labels == shapes.LABELS
    kind = "shapes-10" if own else "scenes"
    source, names = f"built-in renders ({kind}, {split})", tuple(f"{kind}/{seed}/{index}" for index in range(most))
    if not own:
        return PictureSet(source, names, tuple(_scene_reader(i, seed, _BUILT_IN_SIZE_HW) for i in range(most)))
    size = max(spec.image.size_hw)
    truth = tuple(index % len(shapes.LABELS) for index in range(most))
    return PictureSet(source, names, tuple(_shape_reader(i, seed, size) for i in range(most)), truth)


def golden_picture() -> Pixels:
    """Render the golden sample's picture: neither square nor of a model's size, so that resize and crop count."""
    return _scene_reader(0, shapes.split_seed("demo"), _GOLDEN_SIZE_HW)()


def _reader(file: Path) -> Callable[[], Pixels]:
    return lambda: read_picture(file)


def _shape_reader(index: int, seed: int, size: int) -> Callable[[], Pixels]:
    return lambda: shapes.render(index, seed=seed, size=size)[0]


def _scene_reader(index: int, seed: int, size_hw: tuple[int, int]) -> Callable[[], Pixels]:
    return lambda: shapes.render_picture(index, seed=seed, size_hw=size_hw)[0]
