"""State the contract of a model: what goes in, what comes out, what it means. JSON both ways, no torch.

A ``Spec`` travels in every bundle's manifest under the key ``spec``; every runtime obeys it:

* ``image``: how a picture becomes the input tensor, in this order: resize, centre crop, colour order,
  ``(pixel / 255 - mean) / std``, layout. Pixels are rounded to whole grey levels after the resize, as the
  weights saw them in training.
* ``output``: what the first output tensor is; ``labels``: one name per class, in the order of the outputs.
* ``label_ids``: optional machine names (WordNet ids) in the same order, by which folders of test pictures are matched.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from .errors import SpecError

Fit = Literal["shorter", "squash", "pad"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
Color = Literal["rgb", "bgr"]
Layout = Literal["nchw", "nhwc"]
OutputKind = Literal["logits", "probabilities"]
Task = str


@dataclass(frozen=True)
class ImageSpec:
    """Say how a picture becomes the input tensor.

    ``fit`` says what the resize towards ``resize_hw`` keeps: ``shorter`` fits the shorter side and keeps the aspect,
    ``squash`` ignores the aspect, ``pad`` fits the longer side and fills the rest with the mean colour.
    ``size_hw`` is then cut from the centre. ``mean`` and ``std`` are in units of 0..1 and in the order of ``color``.
    ``layout`` is the order of the input tensor's axes, as the file wants it: (1, 3, h, w) or (1, h, w, 3).
    """

    size_hw: tuple[int, int]
    resize_hw: tuple[int, int]
    fit: Fit = "shorter"
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    color: Color = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    layout: Layout = "nchw"

    def __post_init__(self) -> None:
        for name in ("size_hw", "resize_hw"):
            pair = getattr(self, name)
            if len(pair) != 2 or any(not isinstance(n, int) or not 1 <= n <= 8192 for n in pair):
                raise SpecError(f"{name} must be two whole numbers from 1 to 8192 (height, width), not {pair!r}.")
        for name in ("mean", "std"):
            triple = getattr(self, name)
            if len(triple) != 3 or not all(math.isfinite(v) for v in triple):
                raise SpecError(f"{name} must be three finite numbers, one a colour channel, not {triple!r}.")
        if any(v <= 0 for v in self.std):
            raise SpecError(f"std must be above zero in every channel, not {self.std!r}.")
        one_of("fit", self.fit, get_args(Fit))
        one_of("interpolation", self.interpolation, get_args(Interpolation))
        one_of("color", self.color, get_args(Color))
        one_of("layout", self.layout, get_args(Layout))
        if self.fit != "pad" and any(r < s for r, s in zip(self.resize_hw, self.size_hw, strict=True)):
            raise SpecError(f"resize_hw {self.resize_hw} must not be smaller than size_hw {self.size_hw}.")

    def scaled_to(self, size_hw: tuple[int, int]) -> ImageSpec:
        """Return the same preprocessing for another input size; the share that the crop keeps stays the same."""
        resize_hw = tuple(
            max(new, math.floor(new * r / s)) for new, r, s in zip(size_hw, self.resize_hw, self.size_hw, strict=True)
        )
        return dataclasses.replace(self, size_hw=size_hw, resize_hw=(resize_hw[0], resize_hw[1]))


@dataclass(frozen=True)
class TensorSpec:
    """Describe one tensor of a model file. A dimension that may vary is -1."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Spec:
    """Hold the whole contract of a model, whatever its format."""

    task: Task
    image: ImageSpec
    labels: tuple[str, ...] = ()
    label_ids: tuple[str, ...] = ()
    output: OutputKind = "logits"
    topk: int = 5
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.task:
            raise SpecError("task must name what the model does, for example 'classify'.")
        one_of("output", self.output, get_args(OutputKind))
        if self.label_ids and len(self.label_ids) != len(self.labels):
            raise SpecError(
                f"label_ids has {len(self.label_ids)} entries and labels {len(self.labels)}; they run side by side."
            )
        if self.topk < 1:
            raise SpecError(f"topk must be at least 1, not {self.topk}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """Read the contract from JSON data; unknown keys are ignored, missing or ill-typed ones are named."""
        try:
            image = _build(ImageSpec, data["image"])
            return _build(cls, {**data, "image": image})
        except SpecError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SpecError(f"The spec cannot be read: {exc!r}. Expected the keys of edgevit.spec.Spec.") from exc


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise unless ``value`` is one of the allowed words."""
    if value not in allowed:
        raise SpecError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


_Data = TypeVar("_Data")


def _build(cls: type[_Data], data: Mapping[str, Any]) -> _Data:
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: _tuples(value) for key, value in data.items() if key in names})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
