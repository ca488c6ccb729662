"""Paint photographs and cut objects on crops, as few wide operations: the same code on a processor and a GPU.

Poses and places are computed on the processor, at every eighth pixel; pixels are computed where the photographs lie.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .pair_cuts import MARGIN, Cuts
from .pair_motion import Crops, Poses
from .pair_textures import SIDE, Textures

_NODE_PX = 8
"""Places are computed at every eighth pixel and interpolated: all that bends them is smooth."""


class Painter:
    """Hold what is painted: photographs and objects on ``device``, and the numbers of the objects on the processor."""

    def __init__(self, textures: Textures, cuts: Cuts, device: str) -> None:
        self.device = torch.device(device)
        self.table = replace(cuts, canvases=cuts.canvases[:0])
        self._photos, self._canvases = textures.to(device).photos, cuts.canvases.to(device)

    def fetch(self, photo: Tensor) -> Tensor:
        """Return photographs (N, 3, 256, 256) as floats."""
        return self._photos.index_select(0, photo.to(self.device)).float()

    def backdrop(
        self,
        target_at: Poses,
        loose: Poses,
        crops: Crops,
        natural: Tensor,
        photos: Tensor,
        target: Tensor,
        size: int,
        black: int,
    ) -> Tensor:
        """Draw the photograph behind: where the target itself lies in it, or anywhere.

        The first ``black`` are black where a photograph ends.
        """
        table = self.table
        own = natural[:, None]
        poses = Poses(
            torch.where(own[..., None], target_at.turn, loose.turn),
            torch.where(own, target_at.centre, torch.zeros(())),
            torch.where(own[..., None], target_at.bend, loose.bend),
            torch.zeros_like(target_at.lean),
        )
        base = torch.where(own, table.centre_px[target], loose.centre)
        scale = torch.where(own, table.half_px[target], torch.ones(()))
        origin = torch.zeros((len(photos), 2))
        local = poses.local(_nodes(crops, origin, size, size))
        places = ((base[:, None, None] + local * scale[:, None, None]) * (2 / SIDE) - 1).to(self.device)
        grid = _upsampled(places, size)
        # Where a photograph ends, a composed scene goes on mirrored, or in every eighth is black, as real crops are. In
        # a natural one a mirrored target would be a second true answer.
        ends = (0, black, len(photos) - (len(photos) - black) // 8, len(photos))
        parts = [
            F.grid_sample(photos[start:stop], grid[start:stop], padding_mode=padding, align_corners=False)
            for start, stop, padding in zip(ends, ends[1:], ("zeros", "reflection", "zeros"), strict=False)
            if stop > start
        ]
        return torch.cat(parts)

    def lay(self, canvas: Tensor, shown: Tensor, which: Tensor, poses: Poses, crops: Crops, tints: Tensor) -> None:
        """Lay objects on their crops, each in a window of pixels that is large enough for it."""
        size = canvas.shape[-1]
        # A turn's rows say how far the corners of the box reach; bent ones reach a little farther.
        extent = 2.4 * poses.turn.abs().sum(2).amax(1) * size / crops.side
        least = torch.zeros(())
        for window in _windows(size):
            fits = (extent > least) & ((extent <= window) | (window == _windows(size)[-1]))
            self._lay_in(window, canvas, (shown & fits).nonzero()[:, 0], which, poses, crops, tints)
            least = torch.tensor(float(window))

    def _lay_in(
        self, window: int, canvas: Tensor, rows: Tensor, which: Tensor, poses: Poses, crops: Crops, tints: Tensor
    ) -> None:
        if not len(rows):
            return
        size = canvas.shape[-1]
        poses, crops = poses.take(rows), Crops(crops.centre[rows], crops.side[rows])
        middle = (poses.centre - crops.centre + crops.side[:, None] / 2) * (size / crops.side[:, None])
        origin = (middle - window / 2).round().clamp(0, size - window)
        places = poses.local(_nodes(crops, origin, size, window)).to(self.device) / MARGIN
        drawn = self._canvases.index_select(0, which[rows].to(self.device)).float()
        layer = F.grid_sample(drawn, _upsampled(places, window), align_corners=False)
        colours = torch.bmm(tints[rows].to(self.device), layer[:, :3].flatten(2)).view(-1, 3, window, window)
        cover = layer[:, 3:].mul_(1 / 255)
        line = torch.arange(window, device=self.device)
        corner = (origin[:, 1] * size + origin[:, 0]).long().to(self.device)
        plane = torch.arange(3, device=self.device) + rows.to(self.device)[:, None] * 3
        inside = line[:, None] * size + line
        at = plane[:, :, None, None] * (size * size) + corner[:, None, None, None] + inside
        # take and scatter_ are four times as fast as indexing with [] on a processor.
        flat = canvas.view(-1)
        under = flat.take(at)
        flat.scatter_(0, at.flatten(), under.addcmul_(under, cover, value=-1).add_(colours.clamp_(max=255)).flatten())


def _windows(size: int) -> tuple[int, ...]:
    """Return the sides of the windows in which objects are drawn, all multiples of the nodes' distance."""
    return (*(size * part // 6 // _NODE_PX * _NODE_PX for part in (2, 3, 4)), size)


def _nodes(crops: Crops, origin: Tensor, size: int, window: int) -> Tensor:
    """Return (N, n, n, 2) places in the world of every eighth pixel of a window of each crop."""
    line = torch.linspace(0.5, window - 0.5, window // _NODE_PX + 1)
    y, x = torch.meshgrid(line, line, indexing="ij")
    at = torch.stack((x, y), -1) + origin[:, None, None]
    low = (crops.centre - crops.side[:, None] / 2)[:, None, None]
    return low + at * (crops.side / size)[:, None, None, None]


def _upsampled(places: Tensor, size: int) -> Tensor:
    planes = places.permute(0, 3, 1, 2).contiguous()
    fine = F.interpolate(planes, size=(size, size), mode="bilinear", align_corners=True)
    return fine.permute(0, 2, 3, 1)
