"""A tracker without a net: it follows one colour. Its engines keep the contract of real ones, so the rest is real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle
from edgevit.manifest import GraphFile, Manifest
from edgevit.provenance import Provenance, WeightsRecord
from edgevit.runtime import TrackSession
from edgevit.spec import ImageSpec, Spec, TensorSpec, TrackSpec

SEARCH, TEMPLATE, CELLS = 96, 48, 12
Tensor = npt.NDArray[Any]
Tensors = dict[str, Tensor]

SPEC = Spec(
    task="track",
    image=ImageSpec((SEARCH, SEARCH), (SEARCH, SEARCH), mean=(0, 0, 0), std=(1, 1, 1)),
    output="box",
    track=TrackSpec(
        template_size_hw=(TEMPLATE, TEMPLATE),
        search_size_hw=(SEARCH, SEARCH),
        map_stride=SEARCH // CELLS,
        score="score",
        features="features",
        feature_stride=SEARCH // CELLS,
        state=(("template.colour", "track.colour"),),
        tuning=(("patience", 3),),
    ),
)
_MAP = (1, CELLS, CELLS)
MANIFEST = Manifest(
    model="blob",
    spec=SPEC,
    format="onnx",
    precision="fp32",
    engine={"name": "onnxruntime", "minimum": "1.16"},
    graphs={
        "template": GraphFile(
            *("template.onnx", "main", (TensorSpec("template", (1, 3, TEMPLATE, TEMPLATE)),)),
            *((TensorSpec("colour", (1, 3)),), "executed"),
        ),
        "track": GraphFile(
            *("track.onnx", "main"),
            (TensorSpec("search", (1, 3, SEARCH, SEARCH)), TensorSpec("colour", (1, 3))),
            (
                *(TensorSpec("box", (1, 4)), TensorSpec("top_left", _MAP), TensorSpec("bottom_right", _MAP)),
                *(TensorSpec("score", (1, 1)), TensorSpec("features", (1, 3, CELLS, CELLS))),
            ),
            "executed",
        ),
    },
    provenance=Provenance(WeightsRecord("made by hand", trained=True), "Apache-2.0"),
    verification={"passed": True},
    golden={"file": "golden.npz"},
    reference={"file": "golden.npz"},
    state=({"from": "template.colour", "to": "track.colour"},),
    operations={"crop": "hit/1"},
)


class Template:
    """Remember the colour in the middle."""

    description = "blob, template"

    def run(self, inputs: Mapping[str, Tensor]) -> Tensors:
        middle = TEMPLATE // 2
        return {"colour": inputs["template"][:, :, middle, middle]}

    def close(self) -> None:
        pass


class Search:
    """Find all that is of that colour."""

    description = "blob, track"

    def __init__(self) -> None:
        self.looks = 0
        self.closed = False

    def run(self, inputs: Mapping[str, Tensor]) -> Tensors:
        self.looks += 1
        picture = inputs["search"][0]
        alike = np.abs(picture - inputs["colour"].reshape(3, 1, 1)).max(0) < 0.1
        rows, columns = np.flatnonzero(alike.any(1)), np.flatnonzero(alike.any(0))
        found = alike.sum() > 20
        first_x, last_x, first_y, last_y = (
            (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1) if found else (40, 50, 40, 50)
        )
        box = np.array(
            [[(first_x + last_x) / 2, (first_y + last_y) / 2, last_x - first_x, last_y - first_y]], np.float32
        )
        features = picture.reshape(3, CELLS, SEARCH // CELLS, CELLS, SEARCH // CELLS).mean((2, 4))
        return {
            "box": box / np.float32(SEARCH),
            "top_left": np.full(_MAP, 1 / CELLS**2, np.float32),
            "bottom_right": np.full(_MAP, 1 / CELLS**2, np.float32),
            "score": np.array([[4.0 if found else -4.0]], np.float32),
            "features": features[None].astype(np.float32),
        }

    def close(self) -> None:
        self.closed = True


def session(*, features: bool = True, score: bool = True) -> tuple[TrackSession, Search]:
    """Open the tracker; without features there is no filter, without a score the corner maps are asked."""
    track = SPEC.track
    assert track is not None
    if not features:
        track = replace(track, features=None, feature_stride=None)
    if not score:
        track = replace(track, score=None)
    search = Search()
    manifest = replace(MANIFEST, spec=replace(SPEC, track=track))
    bundle = Bundle(Path("blob"), manifest)
    return TrackSession(bundle, {"template": Template(), "track": search}), search
