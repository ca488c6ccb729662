"""Be HiT: two pictures in, the target's box out."""

from __future__ import annotations

from torch import Tensor, nn

from ..checkpoints import forget_cached_biases
from .bridge import Bridge, as_map
from .corners import CornerHead
from .joint import JointLevit
from .sizes import STRIDE, HitSize


class HiT(nn.Module):
    """Answer template (N, 3, T, T) and search (N, 3, S, S), both normalised, with box and corner maps.

    ``prepare`` is the template's part, once a target; ``track`` is the rest, once a frame; ``forward`` is both.
    """

    def __init__(self, size: HitSize) -> None:
        super().__init__()
        self.size = size
        self.body = JointLevit(size)
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
        return (self.body.tokens(template),)

    def track(self, search: Tensor, *template: Tensor) -> tuple[Tensor, ...]:
        """Find the target in a search picture; ``template`` is what ``prepare`` returned."""
        stages = self.body(self.body.tokens(search), template[0])
        tokens, vector = self.bottleneck(stages)
        answer: tuple[Tensor, ...] = self.box_head(as_map(focus(tokens, vector), self.size.search // STRIDE))
        return answer


def focus(tokens: Tensor, vector: Tensor) -> Tensor:
    """Scale each token by how far it agrees with the vector; there is no softmax."""
    return tokens * (tokens @ vector.transpose(1, 2))
