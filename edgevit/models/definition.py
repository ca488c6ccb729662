"""Hold the only definition of a model: a torch module, its contract, and where its weights are from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from edgevit.errors import SpecError, UnsupportedError, reason
from edgevit.provenance import WeightsRecord
from edgevit.spec import Spec, TensorSpec

INPUT_NAME = "image"


@dataclass(frozen=True, eq=False)
class Graph:
    """Stand for one graph to export: a module, and its tensors at batch 1."""

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def example(self, batch: int = 1) -> tuple[torch.Tensor, ...]:
        """Return seeded inputs of the right shapes."""
        generator = torch.Generator().manual_seed(0)
        return tuple(torch.rand((batch, *t.shape[1:]), generator=generator) for t in self.inputs)


@runtime_checkable
class HasGraphs(Protocol):
    """Be a module that is exported as several graphs."""

    def graphs(self) -> Mapping[str, Graph]:
        """Return the graphs by name, in the order in which they run; they share the module's weights."""


@dataclass(frozen=True, eq=False)
class ModelDef:
    """Define a model: ``module`` (torch, eval, float32, on the CPU), ``spec``, ``weights``, and ``graphs`` to export.

    A classifier has one graph, ``main``: (N, 3, H, W) float32 to (N, classes); the output is named what it is,
    ``logits`` or ``probabilities``. A module that is exported as several graphs says so itself (``HasGraphs``).
    """

    name: str
    module: nn.Module
    spec: Spec
    weights: WeightsRecord
    code_licence: str = "unknown"

    @property
    def graphs(self) -> Mapping[str, Graph]:
        """Return the graphs by name, in the order in which they run."""
        if isinstance(self.module, HasGraphs):
            return self.module.graphs()
        height, width = self.spec.image.size_hw
        inputs = (TensorSpec(INPUT_NAME, (1, 3, height, width)),)
        return {"main": Graph(self.module, inputs, (TensorSpec(self.spec.output, (1, self.num_classes)),))}

    @property
    def num_classes(self) -> int:
        """Count the classes."""
        return len(self.spec.labels)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        spec: Spec,
        *,
        name: str = "custom",
        weights: WeightsRecord | None = None,
        code_licence: str = "unknown",
    ) -> ModelDef:
        """Take any torch classifier: (N, 3, H, W) to (N, classes). It is copied, run once and checked against the spec.

        Without ``weights`` the module counts as trained by its owner, with its licence unknown.
        """
        if spec.task != "classify":
            raise UnsupportedError(f"Only a classifier can be taken as a module; the spec says task='{spec.task}'.")
        if spec.image.layout != "nchw":
            raise SpecError(
                f"A torch module takes (N, 3, height, width), so the spec must say layout='nchw', not "
                f"'{spec.image.layout}'. An exporter whose format wants another layout turns the axes itself."
            )
        own = copy.deepcopy(module).float().cpu().eval()
        outputs = classes_of(own, spec)
        labels = spec.labels or tuple(f"class {i}" for i in range(outputs))
        if len(labels) != outputs:
            raise SpecError(
                f"The module has {outputs} outputs and the spec {len(labels)} labels; they must be as many."
            )
        record = weights or WeightsRecord(source="the caller's own module", trained=True)
        return cls(name, own, replace(spec, labels=labels), record, code_licence)

    def at_size(self, size_hw: tuple[int, int]) -> ModelDef:
        """Return the same model for another input size, if its module can take it.

        The share that the centre crop keeps is taken from the two sizes, which are whole numbers: ``resize_hw`` may be
        a few pixels from what the share itself gives. A model made by name has the share, so ask there for a size:
        ``create_model(name, imgsz=...)``.
        """
        if size_hw == self.spec.image.size_hw:
            return self
        if self.spec.track is not None:
            raise UnsupportedError(f"{self.name} tracks in pictures of {self.spec.image.size_hw}; leave the size out.")
        spec = replace(self.spec, image=self.spec.image.scaled_to(size_hw))
        try:
            classes_of(self.module, spec)
        except SpecError as exc:
            raise UnsupportedError(
                f"{self.name} was built for {self.spec.image.size_hw} and cannot take {size_hw}. "
                "Create it at that size: edgevit.create_model(name, imgsz=...)."
            ) from exc
        return replace(self, spec=spec)


def classes_of(module: nn.Module, spec: Spec) -> int:
    """Run a module once on a batch of two and return how many classes it has."""
    height, width = spec.image.size_hw
    try:
        with torch.inference_mode():
            outputs = module(torch.zeros(2, 3, height, width))
    except Exception as exc:
        raise SpecError(f"The module cannot take (N, 3, {height}, {width}): {reason(exc)}") from exc
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or outputs.shape[0] != 2:
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise SpecError(f"A classifier must return one tensor (N, classes); the module returned {shape}.")
    return int(outputs.shape[1])
