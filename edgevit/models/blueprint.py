"""Hold what is known of a model before it has weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from edgevit.spec import ImageSpec, TrackSpec

from .live import make_live


class Enliven(Protocol):
    """Fill a module with random weights that behave."""

    def __call__(self, module: nn.Module, *, input_size: tuple[int, int, int], seed: int) -> None: ...


@dataclass(frozen=True, eq=False)
class Blueprint:
    """Hold a module that has no weights yet, and all that is known without them."""

    name: str
    module: nn.Module
    image: ImageSpec
    labels: tuple[str, ...]
    label_ids: tuple[str, ...]
    code_licence: str
    weights_licence: str
    notes: tuple[str, ...]
    hub: Mapping[str, Any]
    """Where the published weights are: ``hf_hub_id``, ``url``, ``tag``, as timm's card says."""
    track: TrackSpec | None = None
    """Set for a tracker only."""
    enliven: Enliven = make_live

    @property
    def task(self) -> str:
        """Say what the model does."""
        return "classify" if self.track is None else "track"
