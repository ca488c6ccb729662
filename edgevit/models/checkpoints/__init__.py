"""Turn the authors' original checkpoint files into timm's state dicts (for HiT: ours), one family a file.

A family module has one function, ``original_names(timm_keys) -> {original key: timm key}``: the whole map for one
model, so a file fits exactly or is refused by name. It may have another, ``check(tensors, module, model_name)``, which
knows better why a file is the wrong one. ``convert`` tries, in this order: timm's own keys, the family's
map, and the filter that timm keeps for some models; the first that fits with every key and every shape wins. Nothing
is guessed from the order of the keys alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from edgevit.errors import WeightsError
from edgevit.registry import Registry

from .fitting import Fit, fit
from .wrappers import unwrap, without_computed

_HERE = "edgevit.models.checkpoints"
FAMILIES = Registry(
    "checkpoint family",
    {
        "mobilevit": f"{_HERE}.mobilevit",
        "mobilevitv2": f"{_HERE}.mobilevit",
        "efficientvit_m": f"{_HERE}.efficientvit",
        "shvit": f"{_HERE}.shvit",
        "levit": f"{_HERE}.levit",
        "efficientformerv2": f"{_HERE}.efficientformerv2",
        "hit": f"{_HERE}.hit",
    },
    ask="edgevit list",
)
"""The start of a timm name -> the module that knows the authors' keys."""


def convert(state_dict: Mapping[str, Any], module: nn.Module, *, model_name: str) -> dict[str, torch.Tensor]:
    """Return the state dict for ``module``, or refuse with the first keys that differ."""
    tensors = unwrap(state_dict)
    known = family(model_name)
    check = getattr(FAMILIES.load(known), "check", None) if known else None
    if check is not None:
        check(tensors, module, model_name)
    tensors = without_computed(tensors)
    heads = classifier_keys(module)
    closest: tuple[str, Fit] | None = None
    for origin, keys, candidate in _readings(tensors, module, model_name):
        result = fit(candidate, keys, module.state_dict())
        if result.complete:
            return result.tensors
        if closest is None or result.distance < closest[1].distance:
            closest = (origin, result)
    assert closest is not None  # the net's own keys are always one of the readings
    own = "edgevit" if known == "hit" else "timm"
    raise WeightsError(closest[1].complaint(model_name, origin=closest[0], heads=heads, own=own))


def load(state_dict: Mapping[str, Any], module: nn.Module, *, model_name: str) -> None:
    """Convert and load in one step. Safe in any mode: bias tables cached by an earlier eval run are dropped."""
    module.load_state_dict(convert(state_dict, module, model_name=model_name), strict=True)
    forget_cached_biases(module)


def forget_cached_biases(module: nn.Module) -> None:
    """Drop the gathered attention biases that timm keeps between eval runs; they belong to the old weights."""
    for part in module.modules():
        cache = getattr(part, "attention_bias_cache", None)
        if isinstance(cache, dict):
            cache.clear()


def family(model_name: str) -> str | None:
    """Return the family in ``FAMILIES`` that a timm name belongs to, or None."""
    bare = model_name.removeprefix("timm/").partition(".")[0]
    fitting = [start for start in FAMILIES if bare.startswith(start)]
    return max(fitting, key=len, default=None)


def classifier_keys(module: nn.Module) -> tuple[str, ...]:
    """Name the parameters of the classifier, one head or two, as timm's card states them."""
    stated = (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
    heads = (stated,) if isinstance(stated, str) else tuple(stated)
    return tuple(f"{head}.{kind}" for head in heads for kind in ("weight", "bias"))


_Reading = tuple[str, Mapping[str, str], Mapping[str, torch.Tensor]]


def _readings(tensors: Mapping[str, torch.Tensor], module: nn.Module, model_name: str) -> Iterator[_Reading]:
    own = {key: key for key in module.state_dict()}
    yield "timm", own, tensors
    known = family(model_name)
    if known is not None:
        yield "original", FAMILIES.load(known).original_names(tuple(own)), tensors
    filtered = _timm_filter(tensors, module)
    if filtered is not None:
        yield "timm", own, filtered


def _timm_filter(tensors: Mapping[str, torch.Tensor], module: nn.Module) -> Mapping[str, torch.Tensor] | None:
    """Run the filter that timm keeps beside some models (older hub files, resized position tables)."""
    home = sys.modules[type(module).__module__]
    own_filter = getattr(home, "checkpoint_filter_fn", None)
    if own_filter is None:
        return None
    try:
        filtered = own_filter(dict(tensors), module)
    except Exception:  # a foreign file can break the filter in any way; the other readings then speak for it
        return None
    return filtered if isinstance(filtered, Mapping) else None
