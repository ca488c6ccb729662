"""List the sizes of HiT: data only. The three published ones are LeViT-128S, -128 and -384 with two pictures in.

``hit_nano`` is ours. Search 192 and template 96, not 256 and 128: a third of the tokens' products and half of the rest,
and its corner maps have a cell every 8 pixels instead of every 16, so that a target (a quarter of the search picture's
side) is 6 cells wide there where it is 4 in the published nets; a box's sides are read from cells, not from pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgevit.errors import SpecError

Three = tuple[int, int, int]
STRIDE = 16
"""Pixels a token, as the stem leaves them."""


@dataclass(frozen=True)
class HitSize:
    """Hold the numbers of one HiT. Pictures are square: ``search`` and ``template`` are sides in pixels.

    ``widths``, ``heads`` and ``depths`` are those of the three stages; ``hidden`` is the width of the bridge's answer,
    ``head`` that of the corner head's first layer; ``features`` is the number of channels of nano's correlation
    features, and 0 in the published nets, which have no additions.
    """

    widths: Three
    heads: Three
    depths: Three
    key_dim: int = 16
    search: int = 256
    template: int = 128
    hidden: int = 256
    head: int = 256
    drop_path: float = 0.0
    features: int = 0

    def __post_init__(self) -> None:
        if self.search % (4 * STRIDE) or self.template % STRIDE:
            raise SpecError(
                f"The search picture's side must be a multiple of {4 * STRIDE} pixels, since its {STRIDE} pixel tokens "
                f"are halved twice and doubled again, and the template's one of {STRIDE}; not {self.search} and "
                f"{self.template}."
            )

    @property
    def map_stride(self) -> int:
        """Return how many pixels of the search picture one cell of the corner maps stands for."""
        return 8 if self.features else STRIDE

    @property
    def search_sides(self) -> Three:
        """Return how many tokens a side of the search picture is, stage by stage."""
        return _sides(self.search)

    @property
    def template_sides(self) -> Three:
        """Return the same of the template."""
        return _sides(self.template)


SIZES: Mapping[str, HitSize] = {
    "hit_nano": HitSize(
        (128, 160, 192), (4, 5, 6), (2, 2, 1), search=192, template=96, hidden=96, head=48, features=32
    ),
    "hit_tiny": HitSize((128, 256, 384), (4, 6, 8), (2, 3, 4)),
    "hit_small": HitSize((128, 256, 384), (4, 8, 12), (4, 4, 4)),
    "hit_base": HitSize((384, 512, 768), (6, 9, 12), (4, 4, 4), key_dim=32, drop_path=0.1),
}


def _sides(pixels: int) -> Three:
    first = pixels // STRIDE
    second = -(-first // 2)
    return first, second, -(-second // 2)
