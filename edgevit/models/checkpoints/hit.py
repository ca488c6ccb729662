"""Know the keys of the authors' HiT files (``VT_ep1500.pth.tar``), and tell which size a file is of.

The backbone is LeViT's, key for key, behind ``backbone.body.``; the bridge and the corner head have the authors' names
here too. A file also holds ``attention_bias_idxs``, which says how the tables of attention biases are numbered. It is
not read but compared: a net whose tables were numbered otherwise would load and be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from edgevit.errors import WeightsError

from ..hit.sizes import SIZES, HitSize
from . import levit

_BODY = "backbone.body."
_STEM = "stem.convs."
_TABLE, _INDICES = "attention_biases", "attention_bias_idxs"


def original_names(own_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to ours."""
    body = {_levit_key(key): key for key in own_keys if key.startswith((_STEM, "stages."))}
    names = {f"{_BODY}{original}": body[key] for original, key in levit.original_names(tuple(body)).items()}
    return names | {key: key for key in own_keys if key not in body.values()}


def check(tensors: Mapping[str, torch.Tensor], module: nn.Module, model_name: str) -> None:
    """Refuse a file of another size, for other pictures, or with tables that are numbered in another way."""
    heads = Counter(table.shape[0] for key, table in tensors.items() if key.endswith(_TABLE) and table.ndim == 2)
    found = next((name for name, size in SIZES.items() if _heads(size) == heads), None)
    if found not in (None, model_name):
        raise WeightsError(
            f"The file holds the weights of {found}, and {model_name} was asked for. Type {found} in its place."
        )
    if found is None:
        return  # something else altogether: what fits and what does not is told key by key
    own = dict(module.named_buffers())
    for original, key in original_names(tuple(module.state_dict())).items():
        if key.endswith(_TABLE):
            stated = tensors.get(original.replace(_TABLE, _INDICES))
            _compare(stated, own[key.replace(_TABLE, _INDICES)], original, SIZES[model_name])


def _compare(stated: torch.Tensor | None, wanted: torch.Tensor, table: str, size: HitSize) -> None:
    if stated is None:
        return
    if stated.shape != wanted.shape:
        raise WeightsError(
            f"The file was trained on pictures of another size: {table} is for {list(stated.shape)} tokens, and "
            f"pictures of {size.search} and {size.template} pixels have {list(wanted.shape)}."
        )
    if not torch.equal(stated.long(), wanted):
        raise WeightsError(
            f"The file numbers its attention biases in another way than HiT ({table}), so they would be read wrongly. "
            "Expected the position encoding of the published nets."
        )


def _heads(size: HitSize) -> Counter[int]:
    """Count the attention layers by their heads: no two sizes agree in that."""
    heads = Counter({size.widths[0] // size.key_dim: 1}) + Counter({size.widths[1] // size.key_dim: 1})
    for count, depth in zip(size.heads, size.depths, strict=True):
        heads[count] += depth
    return heads


def _levit_key(own: str) -> str:
    return own.replace(_STEM, "stem.", 1)
