"""Find the bundle that a word on the command line means: a path, or the name of a model that ships with one."""

from __future__ import annotations

from pathlib import Path

from ..errors import BundleError
from ..registry import family_of, unknown_name


def find_bundle(word: str) -> Path:
    """Return the path of a bundle, or of a folder of them. A path wins over a name; other names are told what is."""
    path = Path(word)
    if not word or "://" in word or word.isdecimal() or (path.is_file() and path.suffix.lower() != ".zip"):
        what = f"'{word}' is no bundle" if word else "The bundle's name is empty"
        raise BundleError(
            f"{what}; expected a bundle's folder or .zip, or the name of a model that ships with one: "
            f"{' or '.join(_shipped_names())}. It stands before the input. Type: edgevit list"
        )
    if path.exists() or path.suffix.lower() == ".zip":
        return path
    found = shipped_bundle(word)
    if found is not None:
        return found
    if family_of(word) != "timm" or word.startswith("timm/"):
        raise BundleError(
            f"'{word}' is a model, and here a bundle is needed. Type: edgevit export {word} --format onnx, "
            "and give the folder that it makes."
        )
    around = path.parent if path.parent.is_dir() else Path()
    known = [*map(str, bundles_in(around)), *_shipped_names()]
    raise BundleError(str(unknown_name("bundle", word, known, ask="edgevit export MODEL --format onnx")))


def shipped_bundle(name: str) -> Path | None:
    """Return the sealed bundle that ships with a model, if there is one."""
    from ..weights import bundle_path

    return bundle_path(name) if name in _shipped_names() else None


def _shipped_names() -> list[str]:
    from ..weights import shipped

    return list(shipped())


def bundles_in(folder: Path) -> list[Path]:
    """Return the bundles that lie directly in a folder."""
    try:
        return sorted(p.parent for p in folder.glob("*/manifest.json"))
    except OSError:
        return []


def size_text(size_bytes: int | None) -> str:
    """Return a size as people read it, in powers of 1000 as stores and data sheets count."""
    if size_bytes is None:
        return "-"
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.1f} {unit}"
    return f"{size_bytes} B"
