"""List, for each target, which of timm's modules is swapped for what. The order of the lines says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from edgevit.errors import UnsupportedError

Builder = Callable[[nn.Module], "nn.Module | None"]
Rules = Mapping[type[nn.Module], Builder]

RULES: Mapping[str, Rules] = {
    "onnx": {},
    "openvino": {},
    "litert": {},
    "coreml": {},
    "executorch": {},
    "tensorrt": {},
}


def rules_for(target: str) -> Rules:
    """Return the rules of a target: the name of a format."""
    if target not in RULES:
        raise UnsupportedError(f"There are no rewrites for '{target}'; the targets are {', '.join(RULES)}.")
    return RULES[target]
