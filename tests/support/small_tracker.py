"""A tracker of hit_nano's design that is exported in seconds; its weights are random and alive."""

from __future__ import annotations

from edgevit.models import ModelDef
from edgevit.models.hit.lively import enliven
from edgevit.models.hit.nano import HitNano
from edgevit.models.hit.plan import track_spec
from edgevit.models.hit.sizes import HitSize
from edgevit.provenance import WeightsRecord
from edgevit.spec import ImageSpec, Spec

SIZE = HitSize((32, 32, 32), (2, 2, 2), (1, 1, 1), key_dim=8, search=64, template=32, hidden=32, head=32, features=8)


def model_def(*, trained: bool = False) -> ModelDef:
    """Return the tracker; ``trained`` is what it says of itself, so that gates count."""
    net = HitNano(SIZE)
    enliven(net, input_size=(3, SIZE.search, SIZE.search), seed=0)
    spec = Spec(
        task="track",
        image=ImageSpec((SIZE.search, SIZE.search), (SIZE.search, SIZE.search), fit="squash"),
        output="box",
        track=track_spec(net, SIZE),
    )
    return ModelDef("small_tracker", net.eval(), spec, WeightsRecord("random (seed 0)", trained), "Apache-2.0")
