"""Lay the tensors of a file over the tensors of a net, and say exactly where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

_SHOWN = 3
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fit:
    """Hold what fitted, and what did not in the spelling of the file."""

    tensors: dict[str, torch.Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[tuple[str, str, tuple[int, ...], tuple[int, ...]], ...]
    """(key in the file, timm's key, shape in the file, shape in the net)"""

    @property
    def complete(self) -> bool:
        """Tell whether every tensor found its place."""
        return not (self.missing or self.unexpected or self.shapes)

    @property
    def distance(self) -> int:
        """Count the keys that differ, to find the reading that comes closest."""
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def complaint(self, model_name: str, *, origin: str, heads: Sequence[str], own: str = "timm") -> str:
        """Say in one sentence or two why the file is refused. ``own`` is whose keys the net has."""
        if self.shapes and not self.missing and not self.unexpected and all(s[1] in heads for s in self.shapes):
            in_file, in_net = self.shapes[0][2][0], self.shapes[0][3][0]
            return (
                f"The file's classifier has {in_file} classes, the model {model_name} was made with {in_net}. "
                f"Type: --num-classes {in_file} (with --labels FILE if they are not ImageNet's)."
            )
        parts = [
            _list("missing", self.missing),
            _list("unexpected", self.unexpected),
            _list("of another shape", [f"{key} {have} instead of {want}" for key, _, have, want in self.shapes]),
        ]
        spelling = "the authors' keys" if origin == "original" else f"{own}'s keys"
        return (
            f"The file does not fit {model_name} (compared with {spelling}): {'; '.join(p for p in parts if p)}. "
            f"Expected a checkpoint of {model_name}, in {own}'s or the authors' own format."
        )


def fit(tensors: Mapping[str, torch.Tensor], names: Mapping[str, str], target: Mapping[str, torch.Tensor]) -> Fit:
    """Rename by ``names`` (file's key -> net's key) and check every shape against ``target``."""
    tensors = _one_head_for_two(tensors, names)
    placed: dict[str, torch.Tensor] = {}
    missing, shapes = [], []
    for original, key in names.items():
        want = target[key]
        if original not in tensors:
            if key.endswith(_COUNTER):  # a counter that only training reads; old files lack it
                placed[key] = torch.zeros_like(want)
            else:
                missing.append(original)
            continue
        have = tensors[original]
        if _bare_shape(have) != _bare_shape(want):
            shapes.append((original, key, tuple(have.shape), tuple(want.shape)))
            continue
        placed[key] = have.detach().reshape(want.shape).to(want.dtype)
    unexpected = tuple(key for key in tensors if key not in names)
    return Fit(placed, tuple(missing), unexpected, tuple(shapes))


def _bare_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    # (out, in), (out, in, 1, 1) and LayerScale's (C, 1, 1), (C,) hold the same numbers in the same order.
    shape = tuple(tensor.shape)
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _one_head_for_two(tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> Mapping[str, torch.Tensor]:
    """Give a net with two heads the one head of the file twice: their mean is that head."""
    second = {original: key for original, key in names.items() if key.startswith("head_dist.")}
    if not second or any(original in tensors for original in second):
        return tensors
    file_key = {key: original for original, key in names.items()}
    first = {original: file_key.get(key.replace("head_dist.", "head.", 1), "") for original, key in second.items()}
    return {**tensors, **{name: tensors[source] for name, source in first.items() if source in tensors}}


def _list(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{what}: {', '.join(keys[:_SHOWN])}{more}"
