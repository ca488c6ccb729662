"""State the contract of a model: what goes in, what comes out, what it means. JSON both ways, no torch.

A ``Spec`` travels in every bundle's manifest under the key ``spec``; every runtime obeys it:

* ``image``: how a picture becomes the input tensor, in this order: resize, centre crop, colour order,
  ``(pixel / 255 - mean) / std``, layout. Pixels are rounded to whole grey levels after the resize, as the
  weights saw them in training. Where ``values`` is ``levels`` the file holds mean and std itself, and the tensor is the
  grey levels 0..255 as they are.
* ``output``: what the first output tensor is; ``labels``: one name per class, in the order of the outputs.
* ``label_ids``: optional machine names (WordNet ids) in the same order, by which folders of test pictures are matched.
* ``track``: a tracker's only: how its two pictures are cut from a frame, and what its graphs hand on (``TrackSpec``).
  ``image`` is then the search picture's; the template has the same colour, mean and std. Both arrive at their size.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
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
OutputKind = Literal["logits", "probabilities", "box"]
"""``box`` is (N, 4): centre x, centre y, width and height, in shares of the search picture."""
Task = str

LONGEST_SIDE = 8192
_MOST_LEVEL = 1e4
_LEAST_STD = 1e-6
_MOST_CLASSES = 1 << 20
_LEAST_FACTOR, _MOST_FACTOR = 0.1, 100.0
_TENSOR = re.compile(r"[^.]+\.[^.]+")


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
class TrackSpec:
    """Say how a tracker's pictures are cut from a frame, and what its graphs hand on.

    ``crop`` names the arithmetic: a square around the box's centre, whose side is the factor times the geometric mean
    of the box's sides; ``margin`` is how many pixels of a box stay in the frame. In a ``faded`` template what lies
    outside of the box has half its contrast, so that the net sees what the box holds. ``map_stride`` and
    ``feature_stride`` are the pixels of the search picture that a cell of the corner maps and of the features stands
    for. ``score`` and ``features`` name outputs of the graph ``track``, where it has them: the logit that the target is
    there, and what a correlation filter can learn from. ``state`` is pairs of ``graph.tensor``: this
    output goes into that input. ``tuning`` is numbers by name for what a runtime does beside the net; it ignores names
    that it does not know.
    """

    template_size_hw: tuple[int, int]
    search_size_hw: tuple[int, int]
    template_factor: float = 2.0
    search_factor: float = 4.0
    crop: str = "hit/1"
    margin: int = 10
    faded: bool = False
    map_stride: int = 16
    score: str | None = None
    features: str | None = None
    feature_stride: int | None = None
    state: tuple[tuple[str, str], ...] = ()
    tuning: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("template_size_hw", "search_size_hw"):
            pair = _row(name, getattr(self, name), 2)
            for n in pair:
                _check_whole(name, n, 1, LONGEST_SIDE)
            object.__setattr__(self, name, pair)
        for name in ("template_factor", "search_factor"):
            if not _is_number(factor := getattr(self, name)) or not _LEAST_FACTOR <= factor <= _MOST_FACTOR:
                raise SpecError(
                    f"{name} must be a number from {_LEAST_FACTOR} to {_MOST_FACTOR}, not {_shown(factor)}."
                )
            object.__setattr__(self, name, float(factor))
        _check_whole("margin", self.margin, 0, LONGEST_SIDE)
        if not isinstance(self.faded, bool):
            raise SpecError(f"faded must be true or false, not {_shown(self.faded)}.")
        _check_whole("map_stride", self.map_stride, 1, LONGEST_SIDE)
        if self.feature_stride is not None:
            _check_whole("feature_stride", self.feature_stride, 1, LONGEST_SIDE)
        for name, needed in (("crop", True), ("score", False), ("features", False)):
            text = getattr(self, name)
            if (needed or text is not None) and (not isinstance(text, str) or not text):
                raise SpecError(f"{name} must be a name that is not empty, not {_shown(text)}.")
        if (self.features is None) != (self.feature_stride is None):
            raise SpecError("features and feature_stride go together: name the output, and say how fine it is.")
        object.__setattr__(self, "state", _state(self.state))
        object.__setattr__(self, "tuning", _tuning(self.tuning))


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
    track: TrackSpec | None = None

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
        _check_whole("topk", self.topk, 1, _MOST_CLASSES)
        if self.track is not None and not isinstance(self.track, TrackSpec):
            raise SpecError(f"track must be a TrackSpec or nothing, not {_shown(self.track)}.")
        if (self.task == "track") != (self.track is not None) or (self.output == "box") != (self.track is not None):
            raise SpecError("The task 'track', the output 'box' and the table 'track' go together: all three or none.")
        if self.track is not None and self.track.search_size_hw != self.image.size_hw:
            raise SpecError(
                f"search_size_hw {self.track.search_size_hw} must be size_hw {self.image.size_hw} of the image."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = dataclasses.asdict(self)
        return data if self.track else {key: value for key, value in data.items() if key != "track"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """Read the contract from JSON data; unknown keys are ignored, missing or ill-typed ones are named."""
        try:
            whole = Table.of(data, "spec")
            made: dict[str, Any] = {"image": _build(ImageSpec, whole.table("image").data)}
            if data.get("track") is not None:
                made["track"] = _build(TrackSpec, whole.table("track").data)
            return _build(cls, {**data, **made})
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


def _check_whole(name: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SpecError(f"{name} must be a whole number from {least} to {most}, not {_shown(value)}.")


def _state(pairs: Any) -> tuple[tuple[str, str], ...]:
    rows = tuple(_row("state", pair, 2) for pair in _row("state", pairs, None))
    if wrong := [end for pair in rows for end in pair if not isinstance(end, str) or not _TENSOR.fullmatch(end)]:
        raise SpecError(f"state must be pairs of graph.tensor (an output, an input), not {_shown(wrong[0])}.")
    return rows


def _tuning(pairs: Any) -> tuple[tuple[str, float], ...]:
    rows = tuple(_row("tuning", pair, 2) for pair in _row("tuning", pairs, None))
    for name, value in rows:
        if not isinstance(name, str) or not _is_number(value) or not abs(value) <= _MOST_LEVEL:
            raise SpecError(f"tuning must be pairs of a name and a number up to {_MOST_LEVEL:g}, not {_shown(rows)}.")
    return tuple((name, float(value)) for name, value in rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return reprlib.repr(value)


_Data = TypeVar("_Data")


def _build(cls: type[_Data], data: Mapping[str, Any]) -> _Data:
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: value for key, value in data.items() if key in names})
