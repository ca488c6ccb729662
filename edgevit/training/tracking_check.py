"""Track through folders of real frames with the net itself, and say how well: success AUC, beside a box that stays.

The crop arithmetic is the authors' of HiT (zero padding, the banker's rounding of Python, a margin of 10 pixels), so
that what is measured while learning is what a runtime will see. A sequence is a folder of frames with a
``groundtruth.txt`` of x, y, w, h a line, counted from 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edgevit.errors import InputError
from edgevit.overlaps import overlaps, success_auc
from edgevit.pictures import list_pictures, no_such_file, read_picture

from .augment import normalise
from .pair_fade import fade
from .pair_motion import SEARCH_FACTOR, TEMPLATE_FACTOR
from .tracking_loss import MEAN, STD

F64 = npt.NDArray[np.float64]
_MARGIN_PX = 10


@dataclass(frozen=True)
class Clip:
    """Hold one clip in memory: frames (3, H, W) of uint8 in RGB, and the true boxes (N, 4) as x, y, w, h."""

    name: str
    frames: tuple[Tensor, ...]
    truth_xywh: F64


def read_clip(folder: str | os.PathLike[str]) -> Clip:
    """Read a folder of frames and its truth."""
    root = Path(folder)
    truth = root / "groundtruth.txt"
    if not truth.is_file():
        raise (
            no_such_file(truth)
            if not root.is_dir()
            else InputError(
                f"The folder {root} has no groundtruth.txt; a sequence has one box a line (x,y,w,h) beside its frames."
            )
        )
    try:
        lines = [line.replace(",", " ").split() for line in truth.read_text(encoding="utf-8").splitlines() if line]
        boxes = np.array(lines, np.float64).reshape(-1, 4)
    except ValueError as exc:
        raise InputError(f"{truth} is not a list of boxes: {exc}. Expected four numbers a line, x,y,w,h.") from exc
    paths = list_pictures(root)
    if len(paths) != len(boxes) or len(boxes) < 2:
        raise InputError(f"{root} has {len(paths)} frames and {len(boxes)} boxes; expected one a frame, two at least.")
    frames = tuple(torch.from_numpy(read_picture(path)).permute(2, 0, 1).contiguous() for path in paths)
    return Clip(root.name, frames, boxes)


def track(net: Any, sequence: Clip, device: str = "cpu") -> F64:
    """Follow the first box through all frames by the net's box alone; return (N, 4) of x, y, w, h."""
    net.eval()
    box = sequence.truth_xywh[0]
    found = [box]
    with torch.inference_mode():
        template, _ = crop(sequence.frames[0], box, TEMPLATE_FACTOR, net.size.template)
        faded = fade(template[None], torch.tensor([box[2] / box[3]], dtype=torch.float32))
        prepared = net.prepare(normalise(faded.to(device), MEAN, STD))
        for frame in sequence.frames[1:]:
            search, side = crop(frame, box, SEARCH_FACTOR, net.size.search)
            answer = net.track(normalise(search[None].to(device), MEAN, STD), *prepared)[0][0]
            cx, cy, width, height = (answer.double().cpu().numpy() * side).tolist()
            left = box[0] + box[2] / 2 - side / 2 + cx - width / 2
            top = box[1] + box[3] / 2 - side / 2 + cy - height / 2
            box = _clipped(np.array((left, top, width, height)), frame.shape[1], frame.shape[2])
            found.append(box)
    return np.stack(found)


def crop(frame: Tensor, box_xywh: F64, factor: float, size_px: int) -> tuple[Tensor, int]:
    """Cut the square of ``factor`` times the box's size out of (3, H, W); return it at its new size, and its side."""
    x, y, width, height = box_xywh.tolist()
    side = max(1, math.ceil(math.sqrt(max(width, 1e-6) * max(height, 1e-6)) * factor))
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    high, wide = frame.shape[1:]
    inner = frame[:, max(top, 0) : max(min(top + side, high), 0), max(left, 0) : max(min(left + side, wide), 0)]
    square = torch.zeros((3, side, side))
    at_y, at_x = max(-top, 0), max(-left, 0)
    square[:, at_y : at_y + inner.shape[1], at_x : at_x + inner.shape[2]] = inner
    sized = F.interpolate(square[None], size=(size_px, size_px), mode="bilinear", align_corners=False)
    return sized[0].round(), side


def aucs(net: Any, sequences: Sequence[Clip], device: str = "cpu") -> dict[str, float]:
    """Return the AUC of every sequence by its name."""
    return {s.name: success_auc(overlaps(track(net, s, device), s.truth_xywh)) for s in sequences}


def still_aucs(sequences: Sequence[Clip]) -> dict[str, float]:
    """Return what a box that never moves has."""
    return {
        s.name: success_auc(overlaps(np.repeat(s.truth_xywh[:1], len(s.truth_xywh), 0), s.truth_xywh))
        for s in sequences
    }


def _clipped(box: F64, height: int, width: int) -> F64:
    """Keep a box in the picture, by 10 pixels of it at least."""
    left, top = box[:2].tolist()
    right, bottom = (box[:2] + box[2:]).tolist()
    left, top = min(max(0.0, left), width - _MARGIN_PX), min(max(0.0, top), height - _MARGIN_PX)
    right, bottom = min(max(_MARGIN_PX, right), width), min(max(_MARGIN_PX, bottom), height)
    return np.array((left, top, max(_MARGIN_PX, right - left), max(_MARGIN_PX, bottom - top)), np.float64)
