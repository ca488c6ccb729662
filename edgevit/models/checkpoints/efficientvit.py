"""Know the keys of the authors' EfficientViT-M files (``efficientvit_m0.pth`` .. ``efficientvit_m5.pth``).

Stage s is ``blocks{s+1}``; from the second stage on its first three entries are the downsampling. A convolution is
``c`` there and ``conv`` in timm, the head's linear layer ``l`` and ``linear``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_DOWNSAMPLE = {"res1": "0", "patchmerge": "1", "res2": "2"}
_STEM = re.compile(r"patch_embed\.conv(\d+)\.(.+)")
_DOWN = re.compile(r"stages\.(\d+)\.downsample\.(\w+)\.(.+)")
_BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)")


def original_names(timm_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to timm's."""
    return {_original(key): key for key in timm_keys}


def _original(key: str) -> str:
    key = re.sub(r"\.conv\.(\w+)$", r".c.\1", key)
    if found := _STEM.fullmatch(key):
        return f"patch_embed.{2 * int(found[1]) - 2}.{found[2]}"
    if found := _DOWN.fullmatch(key):
        return f"blocks{int(found[1]) + 1}.{_DOWNSAMPLE[found[2]]}.{found[3]}"
    if found := _BLOCK.fullmatch(key):
        stage, index = int(found[1]), int(found[2])
        return f"blocks{stage + 1}.{index + (3 if stage else 0)}.{found[3]}"
    return key.replace("head.linear.", "head.l.").replace("head_dist.linear.", "head_dist.l.")
