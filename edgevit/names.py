"""Judge the names of a bundle's files before any path is made of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from .errors import UnsafePathError

MANIFEST_NAME = "manifest.json"
_TOO_LONG = 255
_DROPPINGS = (".DS_Store", "Thumbs.db", "desktop.ini")


def is_dropping(name: str) -> bool:
    """Tell whether a system leaves files of this name in any folder it shows. They are no part of a bundle."""
    last = name.rsplit("/", 1)[-1]
    return last in _DROPPINGS or last.startswith("._")


def check_names(names: Iterable[str]) -> None:
    """Refuse file names that lead out of the bundle, hide another file, or mean something else elsewhere."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if any(p in ("", ".", "..") for p in parts) or "\\" in name or ":" in name:
            raise UnsafePathError(f"the file name '{name}' leads out of the bundle; expected a plain relative path.")
        if len(name) > _TOO_LONG or any(unicodedata.category(c).startswith("C") for c in name):
            raise UnsafePathError(f"the file name {name[:80]!r} is too long or holds control characters.")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise UnsafePathError(f"the file names '{seen[folded]}' and '{name}' are one file on some systems.")
        if folded.split("/")[0] == MANIFEST_NAME:
            raise UnsafePathError(f"the manifest lists itself as a file: '{name}'.")
        seen[folded] = name
    for folded, name in seen.items():
        steps = folded.split("/")
        if inside := next((seen[p] for n in range(1, len(steps)) if (p := "/".join(steps[:n])) in seen), None):
            raise UnsafePathError(f"'{inside}' is listed as a file and, by '{name}', as a folder.")
