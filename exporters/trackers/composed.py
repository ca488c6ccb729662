"""Run a tracker's two graphs one behind the other on pairs of pictures. numpy and an engine; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.errors import BundleError
from edgevit.kernels import normalise
from edgevit.manifest import GraphFile
from edgevit.progress import Progress, Step, silent
from edgevit.runtime.engines import Engine, Tensor, run_checked
from edgevit.runtime.tasks.track_net import picture_of
from edgevit.spec import Spec

from .pairs import PairSet, Pixels

Answers = Mapping[str, Tensor]
"""The outputs of the graph ``track`` by name, (N, ...) each."""
GRAPHS = ("template", "track")


@dataclass(frozen=True, eq=False)
class Composed:
    """Hold both engines and what goes between them (``state``, as manifests have it).

    ``spec`` says how the files want their pictures.
    """

    spec: Spec
    graphs: Mapping[str, GraphFile]
    state: Sequence[Mapping[str, str]]
    engines: Mapping[str, Engine]

    def answers(self, pairs: PairSet, progress: Progress | None = None) -> Answers:
        """Return what the tracker answers to every pair."""
        tell = progress or silent
        rows: list[Answers] = []
        for pair in zip(pairs.templates, pairs.searches, strict=True):
            rows.append(self.both(*(self.tensor(name, p) for name, p in zip(GRAPHS, pair, strict=True)))[1])
            tell(Step("run the produced files", done=len(rows), total=len(pairs)))
        return joined(rows)

    def both(self, template: Tensor, search: Tensor) -> tuple[Answers, Answers]:
        """Return the answers of both graphs to one pair of input tensors."""
        first, second = (self.graphs[name] for name in GRAPHS)
        told = run_checked(self.engines["template"], first, {first.inputs[0].name: template})
        state = {into: told[out] for out, into in wires(self.state, self.graphs)}
        return told, run_checked(self.engines["track"], second, {second.inputs[0].name: search, **state})

    def tensor(self, graph: str, pixels: Pixels) -> Tensor:
        """Return the input tensor of a picture (h, w, 3) as the files want it."""
        return normalise(pixels, picture_of(self.spec.image, (pixels.shape[0], pixels.shape[1])))

    def close(self) -> None:
        """Give both engines' memory back."""
        for engine in self.engines.values():
            engine.close()


def wires(state: Sequence[Mapping[str, str]], graphs: Mapping[str, GraphFile]) -> Iterator[tuple[str, str]]:
    """Yield each output of the template's graph with the input of the other that it goes into; all must be there."""
    check_graphs(graphs)
    for pair in state:
        (source, out), (target, into) = (pair[end].partition(".")[::2] for end in ("from", "to"))
        for end, owner, name, graph, held in (
            ("from", source, out, "template", graphs["template"].outputs),
            ("to", target, into, "track", graphs["track"].inputs),
        ):
            if owner != graph or name not in {t.name for t in held}:
                raise BundleError(
                    f"The tracker's state names '{pair[end]}'; '{graph}' has {', '.join(t.name for t in held)}. "
                    "Export the model again."
                )
        yield out, into


def check_graphs(graphs: Mapping[str, GraphFile]) -> None:
    """Raise unless both graphs are there."""
    if lacking := [name for name in GRAPHS if name not in graphs]:
        raise BundleError(
            f"A tracker has the graphs 'template' and 'track'; '{lacking[0]}' is missing here. Export the model again."
        )


def state_of(spec: Spec) -> tuple[Mapping[str, str], ...]:
    """Return what the spec says of the state in the words of a manifest."""
    assert spec.track is not None
    return tuple({"from": out, "to": into} for out, into in spec.track.state)


def joined(rows: Sequence[Answers]) -> Answers:
    """Put the answers to single pairs together."""
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
