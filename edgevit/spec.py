"""State the contract of a model: what goes in, what comes out, what it means. JSON both ways, no torch.

A ``Spec`` travels in every bundle's manifest under the key ``spec``; every runtime obeys it:

* ``image``: how a picture becomes the input tensor, in this order: resize, centre crop, colour order,
  ``(pixel / 255 - mean) / std``, layout. Pixels are rounded to whole grey levels after the resize, as the
  weights saw them in training. Where ``values`` is ``levels`` the file holds mean and std itself, and the tensor is the
  grey levels 0..255 as they are.
* ``output``: what the first output tensor is; ``labels``: one name per class, in the order of the outputs.
* ``label_ids``: optional machine names (WordNet ids) in the same order, by which folders of test pictures are matched.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from .errors import SchemaError, SpecError
from .reading import Table

Fit = Literal["shorter", "squash", "pad"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
Color = Literal["rgb", "bgr"]
Layout = Literal["nchw", "nhwc"]
Values = Literal["normalised", "levels"]
OutputKind = Literal["logits", "probabilities"]
Task = str

LONGEST_SIDE = 8192
_MOST_LEVEL = 1e4
_LEAST_STD = 1e-6
_MOST_CLASSES = 1 << 20


@dataclass(frozen=True)
class ImageSpec:
    """Say how a picture becomes the input tensor.

    ``fit`` says what the resize towards ``resize_hw`` keeps: ``shorter`` fits the shorter side and keeps the aspect,
    ``squash`` ignores the aspect, ``pad`` fits the longer side and fills the rest with the mean colour.
    ``size_hw`` is then cut from the centre. ``mean`` and ``std`` are in units of 0..1 and in the order of ``color``.
    ``layout`` is the order of the input tensor's axes, as the file wants it: (1, 3, h, w) or (1, h, w, 3);
    ``values`` is what stands in it: ``normalised`` numbers, or the ``levels`` of the pixels, for a file
    that normalises.
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
    values: Values = "normalised"

    def __post_init__(self) -> None:
        for name in ("size_hw", "resize_hw"):
            pair = _row(name, getattr(self, name), 2)
            if not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= LONGEST_SIDE for n in pair):
                raise SpecError(
                    f"{name} must be two whole numbers from 1 to {LONGEST_SIDE} (height, width), not {_shown(pair)}."
                )
            object.__setattr__(self, name, pair)
        for name, least in (("mean", -_MOST_LEVEL), ("std", _LEAST_STD)):
            triple = _row(name, getattr(self, name), 3)
            if not all(_is_number(v) and least <= v <= _MOST_LEVEL for v in triple):
                raise SpecError(
                    f"{name} must be three numbers from {least:g} to {_MOST_LEVEL:g}, one a colour channel, "
                    f"not {_shown(triple)}."
                )
            object.__setattr__(self, name, tuple(float(v) for v in triple))
        if not isinstance(self.antialias, bool):
            raise SpecError(f"antialias must be true or false, not {_shown(self.antialias)}.")
        one_of("fit", self.fit, get_args(Fit))
        one_of("interpolation", self.interpolation, get_args(Interpolation))
        one_of("color", self.color, get_args(Color))
        one_of("layout", self.layout, get_args(Layout))
        one_of("values", self.values, get_args(Values))
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
        if not isinstance(self.task, str) or not self.task:
            raise SpecError(f"task must name what the model does, for example 'classify', not {_shown(self.task)}.")
        if not isinstance(self.image, ImageSpec):
            raise SpecError(f"image must be an ImageSpec, not {_shown(self.image)}.")
        for name in ("labels", "label_ids", "notes"):
            texts = _row(name, getattr(self, name), None)
            if wrong := [t for t in texts if not isinstance(t, str)]:
                raise SpecError(f"{name} must be a list of texts; it holds {_shown(wrong[0])}.")
            object.__setattr__(self, name, texts)
        one_of("output", self.output, get_args(OutputKind))
        if self.label_ids and len(self.label_ids) != len(self.labels):
            raise SpecError(
                f"label_ids has {len(self.label_ids)} entries and labels {len(self.labels)}; they run side by side."
            )
        if not isinstance(self.topk, int) or isinstance(self.topk, bool) or not 1 <= self.topk <= _MOST_CLASSES:
            raise SpecError(f"topk must be a whole number of at least 1, not {_shown(self.topk)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """Read the contract from JSON data; unknown keys are ignored, missing or ill-typed ones are named."""
        try:
            image = Table.of(data, "spec").table("image")
            return _build(cls, {**data, "image": _build(ImageSpec, image.data)})
        except (SchemaError, TypeError) as exc:  # TypeError: a field without default is missing
            raise SpecError(
                f"The spec cannot be read: {str(exc).rstrip('.')}. Expected the keys of edgevit.spec.Spec."
            ) from exc


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise unless ``value`` is one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise SpecError(f"{name} must be one of {', '.join(allowed)}, not {_shown(value)}.")


def _row(name: str, value: Any, count: int | None) -> tuple[Any, ...]:
    """Take a tuple or a list; a text is neither, though it has a length."""
    if not isinstance(value, (tuple, list)) or (count is not None and len(value) != count):
        raise SpecError(f"{name} must be a list{'' if count is None else f' of {count}'}, not {_shown(value)}.")
    return tuple(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return reprlib.repr(value)


_Data = TypeVar("_Data")


def _build(cls: type[_Data], data: Mapping[str, Any]) -> _Data:
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: value for key, value in data.items() if key in names})
