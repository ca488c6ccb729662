"""Give a HiT random weights that behave as a trained one's: the box is a box, and moves with the pictures.

A net that was never trained answers with corner maps that are flat or point anywhere, so its boxes have no area, and a
proof that compares boxes proves nothing. So one channel of each tower is made to feel the map's edge: up and left for
the one corner, down and right for the other. How loud it is is found by trial, so that the corners lie as far apart,
on average, as those of a target; all the other channels are random, and differ from picture to picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..live import make_live, pictures
from .corners import CornerHead
from .net import HiT

_PICTURES = 16
_MEAN, _STD = (torch.tensor(v).view(1, -1, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
_FROM_MIDDLE = 0.17
"""Share of the search picture's side from its middle to either corner, on average."""
_LOUDEST = 64.0
_TRIALS = 32


class FromOnePicture(nn.Module):
    """Be a HiT that finds the middle of a picture in the picture: what the two crops of one frame show."""

    def __init__(self, net: HiT) -> None:
        super().__init__()
        self.net = net

    def forward(self, search: Tensor) -> Tensor:
        """Take search pictures; return boxes."""
        box: Tensor = self.net(*both(self.net, search))[0]
        return box


def both(net: HiT, search: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the template out of the middle of search pictures; return it and them."""
    start, side = (net.size.search - net.size.template) // 2, net.size.template
    return search[:, :, start : start + side, start : start + side], search


def enliven(module: nn.Module, *, input_size: tuple[int, int, int], seed: int) -> None:
    """Replace all weights by seeded random ones; the net is left in eval mode."""
    assert isinstance(module, HiT)
    make_live(FromOnePicture(module), input_size=input_size, seed=seed)
    images = (pictures(_PICTURES, input_size[1:], seed=seed) - _MEAN) / _STD
    seen: list[Tensor] = []
    handle = module.box_head.register_forward_pre_hook(lambda head, args: seen.append(args[0]))
    module.double()
    try:
        with torch.no_grad():
            module(*both(module, images.double()))
            _point(module.box_head, "tl", seen[0], 0.5 - _FROM_MIDDLE)
            _point(module.box_head, "br", seen[0], 0.5 + _FROM_MIDDLE)
    finally:
        handle.remove()
        module.float()
        module.eval()


def _point(head: CornerHead, corner: str, x: Tensor, place: float) -> None:
    """Make a tower answer with this place on average (in shares of the side, the same across and down)."""
    kernel = torch.zeros(3, 3, dtype=x.dtype)
    kernel[:2, :2] = 0.25
    kernel = kernel if place < 0.5 else kernel.flip(0, 1)
    for n in range(1, 5):
        layer = head.get_submodule(f"conv{n}_{corner}")
        _feel_edge(layer, kernel, first=n == 1)
        x = layer(x)
    last = head.get_submodule(f"conv5_{corner}")
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight[0, 0] = 0
    content = last(x).flatten(1)
    spread = content.std(1).median().clamp_min(1e-6)
    last.weight.div_(spread)
    last.bias.div_(spread)
    edge = x[:, 0].flatten(1)
    low, high = 0.0, _LOUDEST
    for _ in range(_TRIALS):
        loud = (low + high) / 2
        found = ((content / spread - loud * edge).softmax(1) @ head.places).mean()
        near = abs(found - 0.5) < abs(place - 0.5)
        low, high = (loud, high) if near else (low, loud)
    last.weight[0, 0] = -low


def _feel_edge(layer: nn.Module, kernel: Tensor, *, first: bool) -> None:
    """Make channel 0 of a layer of a tower 1 in the map's middle and less towards two of its edges, where zeros lie."""
    conv, norm, _ = layer.children()
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert conv.bias is not None
    for row, value in ((norm.running_mean, 0), (norm.running_var, 1), (norm.weight, 1), (norm.bias, int(first))):
        row[0] = value
    conv.bias[0] = 0
    conv.weight[0] = 0
    if not first:
        conv.weight[0, 0] = kernel
