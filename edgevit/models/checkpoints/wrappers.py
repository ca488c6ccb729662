"""Find the tensors inside a training checkpoint: through its wrapper dicts and the prefixes of its trainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from edgevit.errors import WeightsError

# In order of preference. timm's trainer validates the averaged weights, so they come before the raw ones; the DeiT
# family of trainers (LeViT, EfficientViT, SHViT, EfficientFormer) publishes and reads ``model``.
_WRAPPERS = (
    "state_dict_ema",
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "model_ema",
    "ema",
    "weights",
    "params",
)
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
_DEPTH = 4


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the bare tensors by name."""
    found: Mapping[str, Any] = checkpoint
    for _ in range(_DEPTH):
        inner = next((found[key] for key in _WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = inner
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        seen = ", ".join(repr(key) for key in list(checkpoint)[:5]) or "nothing at all"
        raise WeightsError(f"The checkpoint holds no tensors by name. It holds {seen}; expected a state dict.")
    return _without_prefixes(tensors)


def without_computed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drop the buffers that are computed anew (``attention_bias_idxs``)."""
    return {key: value for key, value in tensors.items() if not key.endswith("attention_bias_idxs")}


def _without_prefixes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # Only a prefix that EVERY key carries is a wrapper's; otherwise it is a part of the net.
    prefix = next((p for p in _PREFIXES if all(key.startswith(p) for key in tensors)), None)
    if prefix is None:
        return tensors
    return _without_prefixes({key.removeprefix(prefix): value for key, value in tensors.items()})
