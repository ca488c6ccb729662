"""Say what is known of a HiT by its name: the net, its two pictures, its licences."""

from __future__ import annotations

from edgevit.errors import UnsupportedError, UsageError
from edgevit.spec import ImageSpec, TrackSpec

from ..blueprint import Blueprint
from .lively import enliven
from .nano import HitNano
from .net import HiT
from .sizes import SIZES, HitSize

_TUNING = (
    ("sure", 0.7),
    ("doubt", 0.6),
    ("again", 0.8),
    ("patience", 4.0),
    ("habit", 0.7),
    ("sharp", 1e4),
    ("strain", 0.4),
)
"""What the runtime does beside ``hit_nano``, where it is not its default (``runtime/tasks/track_life.py``).

Where it followed well, one score in twenty is below 0.8; without the target half of them are below 0.25. The filter
refines the net's place and never overrules it: with a sharpness that is reached it took look-alikes.
"""
_OF_THE_AUTHORS = (
    "The authors' weights (VT_ep1500.pth.tar) are linked from the page of github.com/kangben258/HiT: "
    "type --weights FILE. They were trained on RGB pictures, though the authors' video demo feeds BGR."
)


def blueprint(name: str, *, num_classes: int | None, size_hw: tuple[int, int] | None) -> Blueprint:
    """Build the net untrained, as every model's module can (``edgevit.models.create``)."""
    if num_classes is not None:
        raise UsageError(f"{name} follows what it is shown and names nothing: leave classes and labels out.")
    size = SIZES[name]
    if size_hw not in (None, (size.search, size.search)):
        raise UnsupportedError(
            f"{name} searches in pictures of {size.search}x{size.search} pixels, for which its weights were trained. "
            f"Leave the size out, or choose another of {', '.join(SIZES)}."
        )
    net = build(name)
    return Blueprint(
        name=name,
        module=net,
        image=ImageSpec(size_hw=(size.search, size.search), resize_hw=(size.search, size.search), fit="squash"),
        labels=(),
        label_ids=(),
        code_licence="Apache-2.0 (edgevit, timm); the published design: MIT (authors)",
        weights_licence="Apache-2.0" if size.features else "MIT",
        notes=() if size.features else (_OF_THE_AUTHORS,),
        hub={},
        track=track_spec(net, size),
        enliven=enliven,
    )


def build(name: str) -> HiT:
    """Build a HiT with fresh weights, in training mode."""
    size = SIZES[name]
    return HitNano(size) if size.features else HiT(size)


def track_spec(net: HiT, size: HitSize) -> TrackSpec:
    """Say how the pictures are cut, and what goes from one graph to the other."""
    own = "score" in net.ANSWERS
    return TrackSpec(
        template_size_hw=(size.template, size.template),
        search_size_hw=(size.search, size.search),
        margin=2 if own else 10,
        faded=own,
        map_stride=size.map_stride,
        score="score" if own else None,
        features="features" if own else None,
        feature_stride=size.map_stride if own else None,
        tuning=_TUNING if own else (),
        state=tuple((f"template.{name}", f"track.{name}") for name in net.PREPARED),
    )
