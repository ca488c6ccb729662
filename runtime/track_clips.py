"""Take built-in clips as sequences with true boxes: ``synthetic://clip?kind=hidden&seed=3``, or one of every kind."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from edgevit.registry import door

from .frame import Frame
from .sources import open_source

Box = tuple[float, float, float, float]
SCHEME = "synthetic://clip"


@dataclass(frozen=True)
class RenderedSequence:
    """Hold one clip by its URI; a box is None where the target cannot be seen."""

    name: str
    uri: str

    @property
    def boxes_xywh(self) -> tuple[Box | None, ...]:
        """The true boxes, frame by frame."""
        return tuple(box_in_name(frame.source) for frame in _rendered(self.uri))

    def frames(self) -> Iterator[Frame]:
        """Render the frames, or give those that were rendered last."""
        yield from _rendered(self.uri)


def built_in(uri: str) -> tuple[RenderedSequence, ...]:
    """Return the clip that a URI names; one that names no kind stands for one clip of each."""
    order = door("edgevit.runtime.sources.synthetic:order_of")(uri)
    if order.kind:
        return (RenderedSequence(f"{order.kind} {order.seed}", uri),)
    joint = "&" if "?" in uri else "?"
    kinds = door("edgevit.scenes.clips:KINDS")
    return tuple(RenderedSequence(f"{kind} {order.seed}", f"{uri}{joint}kind={kind}") for kind in kinds)


def box_in_name(source: str) -> Box | None:
    """Return the true box that a built-in clip writes into its frames' names, if this is one and shows its target."""
    _, mark, rest = source.partition("@")
    if not mark or not source.startswith(SCHEME):
        return None
    x, y, w, h = (float(value) for value in rest.removesuffix(".png").split(","))
    return x, y, w, h


@functools.lru_cache(maxsize=1)
def _rendered(uri: str) -> tuple[Frame, ...]:
    """Render a clip; the last one is kept, since every tracker that is compared sees it."""
    source = open_source(uri)
    try:
        return tuple(source)
    finally:
        source.close()
