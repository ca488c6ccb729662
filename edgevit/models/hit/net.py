"""Be HiT: two pictures in, the target's box out; deployed, two graphs with the template's tokens between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgevit.spec import TensorSpec

from ..checkpoints import forget_cached_biases
from ..definition import Graph
from .bridge import Bridge
from .corners import CornerHead
from .joint import Stem, as_map, joint_levit
from .sizes import STRIDE, HitSize


class HiT(nn.Module):
    """Answer template (N, 3, T, T) and search (N, 3, S, S), both normalised, with box and corner maps.

    ``prepare`` is the template's part, once a target; ``track`` is the rest, once a frame; ``forward`` is both.
    """

    PREPARED: ClassVar[tuple[str, ...]] = ("template_tokens",)
    ANSWERS: ClassVar[tuple[str, ...]] = ("box", "top_left", "bottom_right")

    def __init__(self, size: HitSize) -> None:
        super().__init__()
        self.size = size
        levit = joint_levit(size)
        self.stem: nn.Module = Stem(levit.stem)
        self.stages = levit.stages
        self.bottleneck = Bridge(size)
        self.box_head = CornerHead(size.hidden, size.head, size.search // size.map_stride)

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, ...]:
        """Return (N, 4) cx, cy, w, h in shares of the search picture, then the maps of its two corners."""
        if not self.training:
            # An average of weights is filled in place and never leaves eval mode; timm's cache would be of old ones.
            forget_cached_biases(self)
        return self.track(search, *self.prepare(template))

    def prepare(self, template: Tensor) -> tuple[Tensor, ...]:
        """Return all of the template that no search picture changes: its tokens."""
        answer: tuple[Tensor, ...] = self.stem(template)
        return answer

    def track(self, search: Tensor, *template: Tensor) -> tuple[Tensor, ...]:
        """Find the target in a search picture; ``template`` is what ``prepare`` returned."""
        tokens, vector = self.bottleneck(self._staged(self.stem(search)[0], template[0]))
        answer: tuple[Tensor, ...] = self.box_head(as_map(focus(tokens, vector), self.size.search // STRIDE))
        return answer

    def graphs(self) -> Mapping[str, Graph]:
        """Return ``template`` and ``track``, which share this net's weights."""
        template, search = (torch.zeros(1, 3, side, side) for side in (self.size.template, self.size.search))
        with torch.no_grad():
            prepared = self.prepare(template)
            answers = self.track(search, *prepared)
        between = _described(self.PREPARED, prepared)
        return {
            "template": Graph(self.stem, _described(("template",), (template,)), between),
            "track": Graph(
                Tracking(self), (*_described(("search",), (search,)), *between), _described(self.ANSWERS, answers)
            ),
        }

    def _staged(self, search: Tensor, template: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the tokens of both pictures as each stage leaves them, the search's first."""
        first: Tensor = self.stages[0](torch.cat((search, template), 1))
        second: Tensor = self.stages[1](first)
        third: Tensor = self.stages[2](second)
        return first, second, third


class Tracking(nn.Module):
    """Be a net's ``track``."""

    def __init__(self, net: HiT) -> None:
        super().__init__()
        self.net = net

    def forward(self, search: Tensor, *template: Tensor) -> tuple[Tensor, ...]:
        """Take the search picture and what the graph ``template`` answered."""
        return self.net.track(search, *template)


def focus(tokens: Tensor, vector: Tensor) -> Tensor:
    """Scale each token by how far it agrees with the vector; there is no softmax."""
    return tokens * (tokens @ vector.transpose(1, 2))


def _described(names: tuple[str, ...], tensors: tuple[Tensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, tuple(t.shape)) for name, t in zip(names, tensors, strict=True))
