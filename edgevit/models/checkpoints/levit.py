"""Know the keys of the authors' LeViT files (``LeViT-128S-96703c44.pth`` and its larger sisters).

All stages stand in one flat list, ``blocks.N``: attention and MLP take turns, and a shrinking attention (which is not
wrapped in a residual, so has no ``.m``) opens each later stage. The convolution twins read the same files: a linear
weight and a 1x1 convolution hold the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_STEM = re.compile(r"stem\.conv(\d+)\.(linear|bn)\.(\w+)")
_PART = re.compile(r"(stages\.\d+\.(?:blocks\.\d+|downsample)\.(attn|attn_downsample|mlp))\.(.+)")
_WITHIN = (
    (re.compile(r"^(proj|q)\.ln\."), r"\1.1."),
    (re.compile(r"^ln1\."), "0."),
    (re.compile(r"^ln2\."), "2."),
    (re.compile(r"(^|\.)linear\."), r"\1c."),
)


def original_names(timm_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to timm's."""
    parts = [found[1] for found in map(_PART.fullmatch, timm_keys) if found]
    position = {part: index for index, part in enumerate(dict.fromkeys(parts))}
    return {_original(key, position): key for key in timm_keys}


def _original(key: str, position: dict[str, int]) -> str:
    if found := _STEM.fullmatch(key):
        return f"patch_embed.{2 * int(found[1]) - 2}.{'c' if found[2] == 'linear' else 'bn'}.{found[3]}"
    if found := _PART.fullmatch(key):
        part, kind, rest = found[1], found[2], found[3]
        for pattern, replacement in _WITHIN:
            rest = pattern.sub(replacement, rest)
        residual = "" if kind == "attn_downsample" else "m."
        return f"blocks.{position[part]}.{residual}{rest}"
    return key.replace(".linear.", ".l.")  # the heads
