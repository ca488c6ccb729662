"""Choose the pairs of pictures that a tracker is proven and calibrated on: a template, and a later look for it.

They are cut along clips whose boxes are known, by the spec's own arithmetic, as a tracker sees them that follows well:
the template in the first frame, the search square a little beside the true box. Needs no torch.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.kernels import cut_square, prepare_uint8
from edgevit.pictures import list_pictures, read_picture
from edgevit.runtime.tasks.track_crop import square_around
from edgevit.runtime.tasks.track_net import picture_of, template_pixels
from edgevit.runtime.track_truth import find_sequences
from edgevit.scenes.clips import Clip
from edgevit.scenes.shapes import split_seed
from edgevit.spec import Spec

Box = tuple[float, float, float, float]
Pixels = npt.NDArray[np.uint8]

KINDS = ("plain", "rivals", "hidden", "demo")
SIZE_HW = (160, 224)
"""Half of the pixels that clips have by default, at half of their time."""
_A_CLIP = 8
"""Pairs taken from one clip, spread over its length."""
_FRAMES = 120
_STILL_SEED = 21
_STILL_BOX = (0.15, 0.4)
_BESIDE = 0.35
"""Shares of the box by which it is looked for beside its true place."""


@dataclass(frozen=True, eq=False)
class PairSet:
    """Hold pairs as whole grey levels: templates (N, h, w, 3) and searches (N, H, W, 3) in the model's colour order."""

    source: str
    names: tuple[str, ...]
    templates: Pixels
    searches: Pixels

    def __len__(self) -> int:
        return len(self.templates)

    def __getitem__(self, part: slice) -> PairSet:
        return PairSet(self.source, self.names[part], self.templates[part], self.searches[part])

    def fingerprint(self) -> dict[str, Any]:
        """Return what a manifest says of the set: where from, how many, a hash over what was cut."""
        digest = hashlib.sha256(self.templates.tobytes() + self.searches.tobytes())
        return {"source": self.source, "count": len(self), "sha256": digest.hexdigest()}


@dataclass(frozen=True, eq=False)
class Look:
    """Hold a pair before it is cut: two frames in RGB, and the boxes around which the squares are laid."""

    name: str
    first: Pixels
    box_xywh: Box
    later: Pixels
    near_xywh: Box


def choose(spec: Spec, folder: str | Path | None, *, most: int, split: str) -> PairSet:
    """Take ``most`` pairs from a folder of sequences or pictures, or from built-in clips of a split."""
    return of_clips(spec, most, split) if folder is None else of_folder(spec, Path(folder), most)


@functools.lru_cache(maxsize=8)
def of_clips(spec: Spec, most: int, split: str) -> PairSet:
    """Cut pairs along built-in clips; the same ones on every machine."""
    looks = [look for number in range(-(-most // _A_CLIP)) for look in _of_clip(number, split_seed(split))]
    return _cut(spec, looks[:most], f"pairs along built-in clips ({split})")


def of_folder(spec: Spec, folder: Path, most: int) -> PairSet:
    """Cut pairs along the sequences of a folder, spread evenly; in a folder of still pictures a box is made up."""
    try:
        looks, kind = _of_sequences(folder, most), "pairs along sequences"
    except InputError:
        looks, kind = _of_stills(folder, most), "pairs made of pictures"
    return _cut(spec, looks, f"{kind}, {folder.resolve().name}/ ({len(looks)})")


def cut(spec: Spec, rgb: Pixels, box_xywh: Box, graph: str) -> Pixels:
    """Return the picture (h, w, 3) that a graph is shown of a box in a frame."""
    track = spec.track
    assert track is not None
    if graph == "template":
        pixels, size_hw = template_pixels(track, rgb, box_xywh, color="rgb"), track.template_size_hw
    else:
        square = square_around(box_xywh, track.search_factor)
        pixels, size_hw = cut_square(rgb, square.left, square.top, square.side, color="rgb"), track.search_size_hw
    return prepare_uint8(pixels, picture_of(spec.image, size_hw), color="rgb")


def _cut(spec: Spec, looks: list[Look], source: str) -> PairSet:
    templates = np.stack([cut(spec, look.first, look.box_xywh, "template") for look in looks])
    searches = np.stack([cut(spec, look.later, look.near_xywh, "track") for look in looks])
    return PairSet(source, tuple(look.name for look in looks), templates, searches)


def _of_clip(number: int, seed: int) -> Iterator[Look]:
    """Yield the pairs of one clip. Where the target is hidden the pair is taken all the same, where it was last."""
    kind = KINDS[number % len(KINDS)]
    clip = Clip(kind, seed=seed + number, count=_FRAMES, size_hw=SIZE_HW)
    first = clip.shot(0)
    assert first.box_xywh is not None  # no clip begins without its target
    near, dice = first.box_xywh, np.random.default_rng((seed, number))
    for index in np.linspace(1, _FRAMES - 1, _A_CLIP).astype(int):
        later = clip.shot(int(index))
        near = later.box_xywh or near
        yield Look(f"{kind}/{seed + number}/{index}", first.rgb, first.box_xywh, later.rgb, _beside(near, dice))


def _beside(box_xywh: Box, dice: np.random.Generator) -> Box:
    """Return where a tracker might have seen the target a frame ago, without rendering that frame."""
    x, y, w, h = box_xywh
    return x + w * float(dice.uniform(-_BESIDE, _BESIDE)), y + h * float(dice.uniform(-_BESIDE, _BESIDE)), w, h


def _of_sequences(folder: Path, most: int) -> list[Look]:
    found = find_sequences(folder)
    each = -(-most // len(found))
    looks: list[Look] = []
    for sequence in found:
        seen = [n for n, box in enumerate(sequence.boxes_xywh) if n and box is not None and sequence.boxes_xywh[n - 1]]
        wanted = {seen[int(n)] for n in np.linspace(0, len(seen) - 1, min(each, len(seen)))} if seen else set()
        box = sequence.boxes_xywh[0]
        assert box is not None  # find_sequences sees to it
        for n, frame in enumerate(sequence.frames()):
            if n == 0:
                first = frame.to_rgb()
            if n in wanted and (near := sequence.boxes_xywh[n - 1]):
                looks.append(Look(str(sequence.pictures[n]), first, box, frame.to_rgb(), near))
    if not looks:
        raise InputError(f"{folder} holds no two frames in a row that both show the target.")
    return looks[:most]


def _of_stills(folder: Path, most: int) -> list[Look]:
    """Draw boxes by lot, and look for them a little beside."""
    files = list_pictures(folder, recursive=True)
    if not files:
        raise InputError(f"{folder}: there are neither sequences with groundtruth.txt nor pictures in it.")
    looks = []
    for n in range(most):
        dice = np.random.default_rng((_STILL_SEED, n))
        path = files[n % len(files)]
        rgb = read_picture(path)
        height, width = rgb.shape[:2]
        w, h = (float(length * dice.uniform(*_STILL_BOX)) for length in (width, height))
        x, y = float(dice.uniform(0, width - w)), float(dice.uniform(0, height - h))
        looks.append(Look(str(path), rgb, (x, y, w, h), rgb, _beside((x, y, w, h), dice)))
    return looks
