"""Light, blur and spoil crops as cameras do: gain, gamma, colour cast, shadow, grey film, blur, few pixels, noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .pair_motion import Draws

_NOISES = 16
_TAPS = 7


class Light:
    """Hold noise once made, and spoil batches with it; ``size_px`` is the side of the largest crop."""

    def __init__(self, size_px: int, seed: int, device: str) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._room = size_px + 64
        noise = torch.randn((_NOISES, 1, self._room, self._room), generator=generator)
        self._noise = noise.to(device)

    def spoil(self, crops: Tensor, draws: Draws, grey: Tensor, *, blurred: slice, coarse: slice) -> Tensor:
        """Turn (N, 3, S, S) of 0..255 into bytes; which rows are blurred and which coarse is the caller's choice."""
        device = crops.device
        _relight(crops, draws, grey)
        if len(crops[blurred]):
            crops[blurred] = _blurred(crops[blurred], draws.between(0.0, 1.8, 2)[blurred].to(device))
        noise = self._noise_for(crops, draws)
        if len(crops[coarse]):
            # A small target has few pixels in its frame, and its crop is stretched: noise and all.
            few = F.avg_pool2d(crops[coarse], 2).add_(noise[coarse, :, ::2, ::2])
            crops[coarse] = F.interpolate(few, size=crops.shape[-2:], mode="bilinear", align_corners=False)
            noise[coarse] = 0
        return crops.add_(noise).clamp_(0, 1).mul_(255).round_().to(torch.uint8)

    def _noise_for(self, crops: Tensor, draws: Draws) -> Tensor:
        size = crops.shape[-1]
        top, left = draws.whole(self._room - size, 2)[0].tolist()
        window = self._noise[:, :, top : top + size, left : left + size]
        amount = draws.between(0, 0.035) * draws.chance(0.6)
        which = draws.whole(_NOISES).to(crops.device)
        return window[which] * amount.to(crops.device)[:, None, None, None]


def _relight(crops: Tensor, draws: Draws, grey: Tensor) -> None:
    """Turn 0..255 into 0..1 as another camera would see it, in place: each pass over all pixels counts."""
    device, size = crops.device, crops.shape[-1]
    gain = (draws.normal(0.18, 0.45).exp()[:, None] * draws.normal(0.06, 0.2, 3).exp() / 255).to(device)
    lift = draws.normal(0.05, 0.15).to(device)
    curve = draws.normal(0.25, 0.6).to(device)[:, None, None, None]
    slope = (draws.normal(0.2, 0.5, 2) * draws.chance(0.4)[:, None]).to(device)
    film = grey.nonzero()[:, 0].to(device)
    crops[film] = crops[film].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    ramp = torch.linspace(-1, 1, size, device=device)
    shade = 1 + slope[:, :1, None] * ramp[:, None] + slope[:, 1:, None] * ramp
    crops.mul_(gain[:, :, None, None]).mul_(shade[:, None]).add_(lift[:, None, None, None]).clamp_(0, 1)
    crops.mul_((crops * -curve).add_(1 + curve))


def _blurred(crops: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur along and across by widths of their own: defocus when alike, motion when not."""
    count, planes, height, width = crops.shape
    taps = torch.arange(_TAPS, device=crops.device) - _TAPS // 2
    weights = torch.exp(-0.5 * (taps / sigma_px.clamp(min=0.05)[..., None]) ** 2)
    weights = (weights / weights.sum(-1, keepdim=True)).repeat_interleave(planes, 0)
    flat = crops.reshape(1, count * planes, height, width)
    padded = F.pad(flat, (_TAPS // 2,) * 4, mode="replicate")
    across = F.conv2d(padded, weights[:, 0][:, None, None, :], groups=count * planes)
    return F.conv2d(across, weights[:, 1][:, None, :, None], groups=count * planes).view(crops.shape)
