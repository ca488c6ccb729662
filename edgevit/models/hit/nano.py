"""Be ``hit_nano``: HiT made small, with three additions of ours that let a small net learn sooner and doubt itself.

1. Correlation. What each place of the search picture shares with each place of the template is computed outright and
   given to the head (pixel-wise correlation, Yan et al., Alpha-Refine, arXiv:2012.06815): on the tokens of the first
   stage, which say WHAT is there, and on features eight pixels apart, which say WHERE it ends. Joint attention could
   learn the same, and takes far longer.
2. Features. The latter are an output too: their length is at most 1 in each place, and a runtime may train a
   correlation filter on them while it tracks.
3. A score: the logit that the target is in the search picture at all, from what the two corners were read off.

The corner maps are twice as fine as the tokens (see ``sizes.py``). What the bridge answers goes through a norm, and the
tokens agree with its vector by their direction alone: published, both grow while learning until their product drowns
the correlation beside it and leaves what fp16 can hold.
"""

from __future__ import annotations

import torch
from timm.models.levit import ConvNorm, LinearNorm
from torch import Tensor, nn

from .bridge import UpNorm
from .corners import CornerHead
from .joint import Stem, as_map, as_tokens
from .net import HiT
from .sizes import STRIDE, HitSize


class FineStem(Stem):
    """Answer a picture with its tokens, and with features taken before the stem's last step, 8 pixels apart."""

    def __init__(self, convs: nn.Module, size: HitSize) -> None:
        assert isinstance(convs, nn.Sequential)
        super().__init__(convs)
        self.features = ConvNorm(size.widths[0] // 2, size.features)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return tokens (N, H * W / 256, C) and features (N, C', H / 8, W / 8)."""
        *before, last = self.convs
        for layer in before:
            image = layer(image)
        return as_tokens(last(image)), shortened(self.features(image), 1)


class Correlation(nn.Module):
    """Compare every place of the search picture with every place of the template, and mix the answers by a layer.

    Its norm makes them as loud as what they are added to, from the first step of training on.
    """

    def __init__(self, template_places: int, channels: int) -> None:
        super().__init__()
        self.mix = LinearNorm(template_places, channels)

    def forward(self, search: Tensor, template: Tensor) -> Tensor:
        """Take (N, places, C) of both, at most of length 1 each; return (N, places of the search, channels)."""
        mixed: Tensor = self.mix(search @ template.transpose(1, 2))
        return mixed


class Score(nn.Module):
    """Judge whether the target is there: by what stands at the two corners, how sure they are, and the whole."""

    def __init__(self, at_corner: int, whole: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * at_corner + whole + 2, whole), nn.ReLU(), nn.Linear(whole, 1))

    def forward(self, x: Tensor, vector: Tensor, corners: tuple[Tensor, Tensor]) -> Tensor:
        """Take the head's map (N, C, side, side), the vector (N, 1, whole) and the maps; return a logit (N, 1)."""
        places = as_tokens(x)
        flat = [corner.flatten(1) for corner in corners]
        seen = [(f[:, None] @ places).flatten(1) for f in flat]
        sure = [f.amax(1, keepdim=True) for f in flat]
        logit: Tensor = self.layers(torch.cat((*seen, vector.flatten(1), *sure), 1))
        return logit


class HitNano(HiT):
    """Add correlation, and two outputs: a score (N, 1), and features (N, C, h, w) of the search picture."""

    PREPARED = ("template_tokens", "template_features")
    ANSWERS = (*HiT.ANSWERS, "score", "features")

    def __init__(self, size: HitSize) -> None:
        super().__init__(size)
        self.stem = FineStem(self.stem.get_submodule("convs"), size)
        self.bottleneck.proj1 = LinearNorm(size.widths[0], size.hidden)
        self.bottleneck.proj2 = LinearNorm(size.widths[2], size.hidden)
        self.meaning = LinearNorm(size.widths[0], size.hidden)
        self.what = Correlation(size.template_sides[0] ** 2, size.hidden)
        self.where = Correlation((size.template // size.map_stride) ** 2, size.head)
        self.up = UpNorm(size.hidden, size.head)
        self.lateral = ConvNorm(size.features, size.head)
        self.box_head = CornerHead(size.head, size.head, size.search // size.map_stride)
        self.score = Score(size.head, size.hidden)

    def track(self, search: Tensor, *template: Tensor) -> tuple[Tensor, ...]:
        """Find the target; ``template`` is its tokens and features."""
        tokens, features = self.stem(search)
        stages = self._staged(tokens, template[0])
        tokens, vector = self.bottleneck(stages)
        agreement = shortened(tokens, 2) @ shortened(vector, 2).transpose(1, 2)
        coarse = tokens * agreement + self._alike(stages[0])
        x = self.up(as_map(coarse, self.size.search // STRIDE)) + self.lateral(features)
        x = torch.relu(x + as_map(self.where(as_tokens(features), as_tokens(template[1])), self.box_head.side))
        box, top_left, bottom_right = self.box_head(x)
        return box, top_left, bottom_right, self.score(x, vector, (top_left, bottom_right)), features

    def _alike(self, tokens: Tensor) -> Tensor:
        meaning = shortened(self.meaning(tokens), 2)
        count = self.size.search_sides[0] ** 2
        alike: Tensor = self.what(meaning[:, :count], meaning[:, count:])
        return alike


def shortened(x: Tensor, axis: int) -> Tensor:
    """Scale vectors to a length below 1; short ones, which say little, stay short.

    They come out of a norm, so the sum of their squares is near the number of channels: fp16 can hold it.
    """
    return x / torch.sqrt((x * x).sum(axis, keepdim=True) + 1)
