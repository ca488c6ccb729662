"""Run a tracker's two graphs: the template once a target, the search once a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgevit.errors import BadOutputError, BundleError
from edgevit.kernels import cut_square, fade_outside, prepare
from edgevit.manifest import GraphFile, Manifest
from edgevit.spec import ImageSpec, TrackSpec

from ..engines import Engine, Tensor, run_checked
from ..frame import Frame, Pixels
from .track_crop import Box, Square, square_around, within

State = Mapping[str, Tensor]
"""What the template's graph handed on, by the names of the inputs of the graph ``track``."""


@dataclass(frozen=True, eq=False)
class Look:
    """Hold what the net saw in one square.

    ``box_cxcywh`` is in shares of the square; ``certainty`` is in 0..1; ``features`` (C, h, w) are None where the net
    gives none.
    """

    square: Square
    box_cxcywh: Box
    certainty: float
    features: Tensor | None


class TrackNet:
    """Hold both engines and the contract between them."""

    def __init__(self, manifest: Manifest, engines: Mapping[str, Engine]) -> None:
        assert manifest.spec.track is not None
        self.spec: TrackSpec = manifest.spec.track
        self._graphs = {name: (engines[name], _graph(manifest, name)) for name in ("template", "track")}
        self._wires = [(_tensor(pair["from"], "template"), _tensor(pair["to"], "track")) for pair in manifest.state]
        self._images = {
            "template": picture_of(manifest.spec.image, self.spec.template_size_hw),
            "track": picture_of(manifest.spec.image, self.spec.search_size_hw),
        }
        outputs = self._graphs["track"][1].outputs
        self._box, *corners = (t.name for t in outputs[:3])
        self._corners = corners
        taken = {into for _, into in self._wires}
        free = [t.name for t in self._graphs["track"][1].inputs if t.name not in taken]
        if len(free) != 1:
            raise BundleError(f"The graph 'track' has {len(free)} inputs without a source; one picture was expected.")
        self._picture = free[0]

    def learn(self, frame: Frame, box_xywh: Box) -> State:
        """Show the target to the net."""
        pixels = template_pixels(self.spec, frame.data, box_xywh, color=frame.pixel_format)
        engine, graph = self._graphs["template"]
        picture = prepare(pixels, self._images["template"], color="rgb")
        answers = run_checked(engine, graph, {graph.inputs[0].name: picture})
        return {into: answers[out] for out, into in self._wires}

    def look(self, frame: Frame, square: Square, state: State) -> Look:
        """Search the target in a square of a frame."""
        engine, graph = self._graphs["track"]
        pixels = cut_square(frame.data, square.left, square.top, square.side, color=frame.pixel_format)
        picture = prepare(pixels, self._images["track"], color="rgb")
        answers = run_checked(engine, graph, {self._picture: picture, **state})
        cx, cy, w, h = (float(value) for value in answers[self._box].reshape(-1))
        if w <= 0 or h <= 0:
            # Corners the wrong way round are a net that sees nothing, not a box.
            return Look(square, (0.5, 0.5, 0.0, 0.0), 0.0, self._features(answers))
        return Look(square, (cx, cy, w, h), self._certainty(answers), self._features(answers))

    def close(self) -> None:
        """Give both engines' memory back."""
        for engine, _ in self._graphs.values():
            engine.close()

    def _certainty(self, answers: Mapping[str, Tensor]) -> float:
        """Return the net's own score, or how much of both corner maps lies in one place."""
        if self.spec.score is not None:
            logit = float(answers[self.spec.score].reshape(-1)[0])
            return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))
        return min(gathered(answers[name].reshape(answers[name].shape[-2:])) for name in self._corners)

    def _features(self, answers: Mapping[str, Tensor]) -> Tensor | None:
        return None if self.spec.features is None else answers[self.spec.features][0]


def gathered(corner: Tensor) -> float:
    """Return the share of a corner's probability that lies in the best place and around it."""
    if corner.ndim != 2:
        raise BadOutputError(f"A corner map has the shape {corner.shape}; two sides were expected.")
    row, column = divmod(int(corner.argmax()), corner.shape[1])
    around = corner[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    return float(min(1.0, around.sum()))


def template_pixels(track: TrackSpec, data: Pixels, box_xywh: Box, *, color: str) -> Pixels:
    """Cut the template's square (side, side, 3) in RGB order; fade what the box does not hold, if that is asked."""
    square = square_around(box_xywh, track.template_factor)
    pixels = cut_square(data, square.left, square.top, square.side, color=color)
    return fade_outside(pixels, *within(square, box_xywh)) if track.faded else pixels


def picture_of(image: ImageSpec, size_hw: tuple[int, int]) -> ImageSpec:
    """Return the preprocessing of a square that has been cut out: resized plainly, as the trackers saw it."""
    return replace(image, size_hw=size_hw, resize_hw=size_hw, fit="squash", interpolation="bilinear", antialias=False)


def _graph(manifest: Manifest, name: str) -> GraphFile:
    if name not in manifest.graphs:
        held = ", ".join(manifest.graphs)
        raise BundleError(f"A tracker has the graphs 'template' and 'track'; this bundle has {held}.")
    return manifest.graphs[name]


def _tensor(place: str, graph: str) -> str:
    """Return the tensor of ``graph.tensor``."""
    owner, _, name = place.partition(".")
    if owner != graph or not name:
        raise BundleError(f"The bundle's state names '{place}'; '{graph}.…' was expected.")
    return name
