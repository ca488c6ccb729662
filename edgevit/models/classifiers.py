"""Define the classifiers, all through timm: one blueprint a name, everything else comes from the weights' own card.

timm's ``pretrained_cfg`` is that card: input size, resize, mean, std, licence of the weights. What timm does not say
stands in ``_FAMILY_FACTS``, a line a family.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, is_model
from torch import nn

from edgevit.errors import UnsupportedError, reason
from edgevit.registry import MODELS, family_of, unknown_name
from edgevit.spec import Fit, ImageSpec, Interpolation

from .blueprint import Blueprint

_TIMM = "timm/"
_FITS: Mapping[str, Fit] = {"center": "shorter", "squash": "squash", "border": "pad"}
_INTERPOLATIONS: Mapping[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest"}


@dataclass(frozen=True)
class FamilyFacts:
    """Say what timm's card leaves out: the licence of the authors' code, and what a user should know."""

    code_licence: str
    notes: tuple[str, ...] = ()


_FAMILY_FACTS: Mapping[str, FamilyFacts] = {
    "mobilevit": FamilyFacts(
        "Apache-2.0 (timm); the authors' weights: Apple sample code licence",
        (
            "The v1 weights were probably trained on BGR pictures; timm's card says RGB. "
            "Compare both on your own pictures: edgevit val BUNDLE DIR --color both",
        ),
    ),
    "mobilevitv2": FamilyFacts("Apache-2.0 (timm); the authors' weights: Apple sample code licence"),
    "efficientvit": FamilyFacts("Apache-2.0 (timm), MIT (authors)"),
    "shvit": FamilyFacts("Apache-2.0 (timm), MIT (authors)"),
    "levit": FamilyFacts("Apache-2.0"),
    "levit_conv": FamilyFacts("Apache-2.0"),
    "efficientformerv2": FamilyFacts("Apache-2.0 (timm), Snap Inc. licence in the MIT style (authors)"),
    "timm": FamilyFacts("Apache-2.0 (timm)"),
}


def blueprint(name: str, *, num_classes: int | None, size_hw: tuple[int, int] | None) -> Blueprint:
    """Build the module of a name, untrained, with the preprocessing of its published weights."""
    timm_name, family = timm_name_of(name)
    card = card_of(timm_name)
    image = image_spec(card, size_hw)
    classes = num_classes or int(card["num_classes"])
    labels, label_ids = labels_for(card) if classes == card["num_classes"] else ((), ())
    facts = _FAMILY_FACTS[family]
    return Blueprint(
        name=name,
        module=_module(timm_name, card, classes, size_hw),
        image=image,
        labels=labels or tuple(f"class {i}" for i in range(classes)),
        label_ids=label_ids,
        code_licence=facts.code_licence,
        weights_licence=card.get("license") or "unknown",
        notes=facts.notes,
        hub={key: card.get(key) for key in ("hf_hub_id", "hf_hub_filename", "url", "tag", "architecture")},
    )


def timm_name_of(name: str) -> tuple[str, str]:
    """Return timm's name for ours, and the family; an unknown name is answered with the nearest."""
    if name in MODELS:
        return name, family_of(name)
    bare = name.removeprefix(_TIMM)
    known = is_model(bare)
    if name.startswith(_TIMM) and known:
        return bare, family_of(bare.split(".")[0])
    near = [*MODELS, *(f"{_TIMM}{n}" for n in timm.list_models())]
    if known:
        raise unknown_name("model", name, [f"{_TIMM}{bare}"], ask=f"edgevit export {_TIMM}{bare}")
    raise unknown_name("model", name, near, ask="edgevit list")


def card_of(timm_name: str) -> dict[str, Any]:
    """Return timm's card of a name's default weights (``name`` or ``name.tag``)."""
    try:
        config = get_pretrained_cfg(timm_name)
    except RuntimeError as exc:  # the name is known, what follows its dot is not
        known = [f"{_TIMM}{other}" for other in get_arch_pretrained_cfgs(timm_name)]
        raise unknown_name("model", f"{_TIMM}{timm_name}", known, ask=f"edgevit export {known[0]}") from exc
    if config is None:
        raise UnsupportedError(f"timm has no weights' card for '{timm_name}', so its preprocessing is unknown.")
    card: dict[str, Any] = config.to_dict()
    if not card.get("num_classes") or len(card["input_size"]) != 3 or card["input_size"][0] != 3:
        raise UnsupportedError(f"'{timm_name}' is not a classifier of RGB pictures, so it cannot be exported as one.")
    return card


def image_spec(card: Mapping[str, Any], size_hw: tuple[int, int] | None = None) -> ImageSpec:
    """Read the preprocessing from timm's card, for its own input size or another; the crop's share stays the same."""
    height, width = size_hw or card["input_size"][1:]
    crop = float(card.get("crop_pct") or 0.875)
    interpolation = card.get("interpolation") or "bilinear"
    if interpolation not in _INTERPOLATIONS:
        raise UnsupportedError(
            f"The weights want '{interpolation}' interpolation; known are {', '.join(_INTERPOLATIONS)}."
        )
    return ImageSpec(
        size_hw=(height, width),
        resize_hw=(math.floor(height / crop), math.floor(width / crop)),
        fit=_FITS[card.get("crop_mode") or "center"],
        interpolation=_INTERPOLATIONS[interpolation],
        antialias=True,
        color="rgb",
        mean=tuple(card["mean"]),
        std=tuple(card["std"]),
    )


@functools.cache
def _imagenet(subset: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    info = ImageNetInfo(subset)
    ids = tuple(info.label_names())
    whole = [info.index_to_description(i) for i in range(info.num_classes())]
    short = _doubled_apart([text.split(",")[0] for text in whole], whole)
    return tuple(_doubled_apart(short, [f"{text} ({at})" for text, at in zip(short, ids, strict=True)])), ids


def _doubled_apart(names: list[str], longer: list[str]) -> list[str]:
    """Return the names, the longer form where one stands twice: ImageNet has two cranes and two maillots."""
    seen = Counter(names)
    return [long if seen[name] > 1 else name for name, long in zip(names, longer, strict=True)]


def labels_for(card: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and the WordNet ids of the classes that the published weights know, or nothing."""
    subset = infer_imagenet_subset({"num_classes": card["num_classes"], "label_names": None, **card})
    return _imagenet(subset) if subset else ((), ())


def _module(timm_name: str, card: Mapping[str, Any], classes: int, size_hw: tuple[int, int] | None) -> nn.Module:
    """Build timm's module; those with a fixed input size are told it."""
    options: dict[str, Any] = {"num_classes": classes}
    if size_hw and card.get("fixed_input_size"):
        options["img_size"] = size_hw if size_hw[0] != size_hw[1] else size_hw[0]
    try:
        module: nn.Module = timm.create_model(timm_name, pretrained=False, **options)
    except (TypeError, AssertionError, ValueError, RuntimeError) as exc:
        raise UnsupportedError(f"{timm_name} cannot be built with {options}: {reason(exc)}") from exc
    return module
