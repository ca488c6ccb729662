"""Ask a tracker in torch: what the produced files are compared with, on pairs and frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from edgevit.bundle import Bundle
from edgevit.errors import ConversionError, WeightsError
from edgevit.kernels import normalise
from edgevit.manifest import GraphFile
from edgevit.models import Graph, ModelDef, create_model
from edgevit.runtime.engines import Engine, Tensor
from edgevit.spec import ImageSpec

from .agreement import relative_of
from .composed import Answers, joined
from .pairs import PairSet, Pixels

_NOISE = 1e-6
_NOISE_PAIRS = 8


class TorchEngine:
    """Be one graph of a model as it was defined."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.description = f"torch {torch.__version__}"

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, in the graph's order."""
        given = [torch.from_numpy(np.ascontiguousarray(inputs[t.name])) for t in self._graph.inputs]
        with torch.inference_mode():
            answers = self._graph.module(*given)
        return {t.name: a.numpy() for t, a in zip(self._graph.outputs, answers, strict=True)}

    def close(self) -> None:
        """Do nothing: the module is the model's own."""


@dataclass(frozen=True, eq=False)
class TrackReference:
    """Hold a tracker and answer for it: the whole module, not its graphs one by one."""

    model: ModelDef

    @cached_property
    def graphs(self) -> Mapping[str, Graph]:
        """Return the model's graphs; asking it for them runs it once."""
        return self.model.graphs

    @property
    def engines(self) -> dict[str, Engine]:
        """Return an engine a graph, to follow clips with."""
        return {name: TorchEngine(graph) for name, graph in self.graphs.items()}

    def graph_files(self) -> dict[str, GraphFile]:
        """Describe the graphs as a manifest does."""
        return {n: GraphFile(n, n, g.inputs, g.outputs, "executed") for n, g in self.graphs.items()}

    @property
    def handed_on(self) -> tuple[str, ...]:
        """Name the template's outputs in the order of the inputs of ``track`` behind the picture."""
        assert self.model.spec.track is not None
        wired = {into.partition(".")[2]: out.partition(".")[2] for out, into in self.model.spec.track.state}
        return tuple(wired[t.name] for t in self.graphs["track"].inputs[1:])

    def answers(self, pairs: PairSet) -> Answers:
        """Return the model's answers to every pair. NaN from the model itself is an error."""
        return self._answers(pairs, noise=0.0)

    def noise_relative(self, pairs: PairSet, score: str | None) -> float:
        """Return how far 1e-6 of noise on both pictures moves the answers: the median over some pairs, relative."""
        some = pairs[:_NOISE_PAIRS]
        return float(np.median(relative_of(self._answers(some, 0.0), self._answers(some, _NOISE), score)))

    def rows(self, graph: str, pairs: PairSet, image: ImageSpec) -> Iterator[tuple[Tensor, ...]]:
        """Yield every pair as a graph takes it; what the template hands on is the model's own answer to it."""
        own = self.model.spec.image
        for template, search in zip(pairs.templates, pairs.searches, strict=True):
            if graph == "template":
                yield (normalise(template, image),)
                continue
            told = TorchEngine(self.graphs["template"]).run(
                {self.graphs["template"].inputs[0].name: normalise(template, own)}
            )
            yield (normalise(search, image), *(told[name] for name in self.handed_on))

    def differences(self, image: ImageSpec) -> tuple[str, ...]:
        """Say where a bundle's preprocessing is not the card's own; layout and values are the files' affair."""
        own = replace(self.model.spec.image, layout=image.layout, values=image.values)
        return () if own == image else (f"the preprocessing is {image}, the card says {own}",)

    def _answers(self, pairs: PairSet, noise: float) -> Answers:
        dice = np.random.default_rng(0)
        rows = []
        for pair in zip(pairs.templates, pairs.searches, strict=True):
            given = [self._tensor(pixels) for pixels in pair]
            if noise:
                given = [t + np.float32(noise) * dice.standard_normal(t.shape).astype(np.float32) for t in given]
            with torch.inference_mode():
                told = self.model.module(*map(torch.from_numpy, given))
            named = zip(self.graphs["track"].outputs, told, strict=True)
            rows.append({t.name: a.numpy() for t, a in named})
        answers = joined(rows)
        if not all(np.isfinite(a).all() for a in answers.values()):
            raise ConversionError(f"{self.model.name} itself answers NaN or infinity in torch; its weights are broken.")
        return answers

    def _tensor(self, pixels: Pixels) -> Tensor:
        return normalise(pixels, self.model.spec.image)


@dataclass(frozen=True, eq=False)
class PairFeeds:
    """Hand pairs to a converter, graph by graph."""

    pairs: PairSet
    model: TrackReference

    def __len__(self) -> int:
        return len(self.pairs)

    def rows(self, graph: str, image: ImageSpec) -> Iterator[tuple[Tensor, ...]]:
        """Yield one row of every input of a graph."""
        return self.model.rows(graph, self.pairs, image)


def of_bundle(bundle: Bundle, weights: str | None) -> TrackReference | None:
    """Build the model of a bundle again, if its weights can be had without asking a network; else return None.

    Random weights are never built again: another thread count would already give other numbers.
    """
    record = bundle.manifest.provenance.weights
    if weights is None and record.source != "shipped":
        return None
    image, kept = bundle.manifest.spec.image, bundle.manifest.provenance.given
    given = {name: getattr(image, name) for name in ("mean", "std") if name in kept}
    model = create_model(bundle.manifest.model, weights or "shipped", **given)
    if model.weights.sha256 != record.sha256 or record.sha256 is None:
        raise WeightsError(
            f"{bundle.path} was made from other weights (sha256 {str(record.sha256)[:12]}..., these are "
            f"{str(model.weights.sha256)[:12]}...). Leave --weights out to compare with the stored reference."
        )
    return TrackReference(model)
