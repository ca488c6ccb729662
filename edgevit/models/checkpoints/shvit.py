"""Know the keys of the authors' SHViT files (``shvit_s1.pth`` .. ``shvit_s4.pth``).

Stage s is ``blocks{s+1}``; from the second stage on its first three entries are the downsampling: a residual pair, the
patch merging, another pair.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_DOWNSAMPLE = ("0.0", "0.1", "1", "2.0", "2.1")
_STAGE = re.compile(r"stages\.(\d+)\.(blocks|downsample)\.(\d+)\.(.+)")


def original_names(timm_keys: Sequence[str]) -> dict[str, str]:
    """Map the authors' keys to timm's."""
    return {_original(key): key for key in timm_keys}


def _original(key: str) -> str:
    found = _STAGE.fullmatch(key)
    if found is None:
        return key  # patch_embed and head are spelled alike
    stage, part, index, rest = int(found[1]), found[2], int(found[3]), found[4]
    if part == "downsample":
        return f"blocks{stage + 1}.{_DOWNSAMPLE[index]}.{rest}"
    return f"blocks{stage + 1}.{index + (3 if stage else 0)}.{rest}"
