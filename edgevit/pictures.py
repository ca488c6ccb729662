"""Read, write and list picture files, with a sentence for each way in which a file can fail.

Pictures are (height, width, 3) arrays of uint8 in RGB order. The decoders are opened on the first picture.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from .decoders import MAX_PIXELS, PILLOW_FORMATS, U8, decode, encode
from .errors import InputError, UnsupportedError, unwritable

PICTURE_SUFFIXES: frozenset[str] = frozenset(PILLOW_FORMATS) | {".avif", ".gif", ".pbm", ".pgm", ".pnm"}
"""The suffixes by which a folder's pictures are known. An animation counts as its first frame."""

WRITABLE_SUFFIXES: frozenset[str] = frozenset(PILLOW_FORMATS)

_MAX_BYTES = 1 << 30


def read_picture(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> U8:
    """Read one picture, upright as its EXIF orientation says, whatever its colours: (height, width, 3) in RGB order."""
    return decode(_read_bytes(Path(path)), str(path), max_pixels=max_pixels)


def write_picture(path: str | os.PathLike[str], rgb: U8) -> None:
    """Write one picture in the format of its suffix, whole or not at all: a reader never sees half a file."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise UnsupportedError(
            f"A picture cannot be written as {target.name!r}: its suffix must be one of "
            f"{' '.join(sorted(WRITABLE_SUFFIXES))}."
        )
    if rgb.dtype.name != "uint8" or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise InputError(
            f"A picture must be (height, width, 3) of uint8 to be written, not {rgb.shape} of {rgb.dtype}."
        )
    data = encode(rgb, suffix)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(target)
    except OSError as exc:
        partial.unlink(missing_ok=True) if target.parent.is_dir() else None
        raise unwritable(f"The picture {target}", exc) from exc


def is_picture_name(name: str | os.PathLike[str]) -> bool:
    """Tell by its suffix whether a file is a picture."""
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


def list_pictures(folder: str | os.PathLike[str], *, recursive: bool = False) -> tuple[Path, ...]:
    """Return the pictures of a folder in the order a person expects (2 before 10). Hidden files are left out."""
    root = Path(folder)
    if not root.exists():
        raise no_such_file(root, "folder")
    if not root.is_dir():
        raise InputError(f"{root} is a file, not a folder of pictures.")
    found: list[Path] = []
    for here, folders, names in os.walk(root, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")] if recursive else []
        found += [Path(here, name) for name in names if is_picture_name(name) and not name.startswith(".")]
    return tuple(sorted(found, key=natural_order))


def natural_order(path: Path) -> tuple[object, ...]:
    """Return a sort key that counts the digits of a name as numbers, folder by folder."""
    # re.split gives text and digits in turn, so keys of two names compare text with text, number with number.
    parts = tuple(
        tuple(int(piece) if at % 2 else piece for at, piece in enumerate(re.split(r"(\d+)", part.casefold())))
        for part in path.parts
    )
    return parts, str(path)


def no_such_file(path: Path, kind: str = "file") -> InputError:
    """Build the answer to a path that does not exist, with the nearest name that does."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        path, folder, kind = folder, folder.parent, "folder"
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    guess = f" Did you mean {folder / near[0]}?" if near else f" The folder {folder} has no such name."
    return InputError(f"There is no {kind} {path}.{guess}")


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a picture.")
        if not path.exists():
            raise no_such_file(path, "picture")
        if not path.is_file():
            raise InputError(f"{path} is a device or a pipe, not a picture file.")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(
                f"The picture {path} is a file of {size >> 20} MB; at most {_MAX_BYTES >> 20} MB are read."
            )
        data = path.read_bytes()
    except PermissionError as exc:
        raise InputError(f"The picture {path} may not be read: permission denied. Type: chmod u+r '{path}'") from exc
    except (OSError, ValueError) as exc:
        raise InputError(f"The picture {path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
    if not data:
        raise InputError(f"The picture {path} is empty: the file has no bytes. Copy it again.")
    return data


def _raise_unreadable(exc: OSError) -> None:
    raise InputError(f"The folder {exc.filename} cannot be read: {exc.strerror}.") from exc
