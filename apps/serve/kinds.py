"""Know a picture by its first bytes. Decoders open more than pictures; what is none of these never meets them."""

from __future__ import annotations

import importlib.util

from edgevit.errors import InputError

KINDS = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "image/tiff", "image/avif",
         "image/x-portable-anymap")  # fmt: skip
UNSAID = ("application/octet-stream", "application/x-www-form-urlencoded")
"""Types that say nothing of the body; the second is what curl sends unless it is told another."""
_ALWAYS = ("image/jpeg", "image/png")
"""The kinds whose size OpenCV's road knows before it decodes; see ``edgevit.decoders``."""

_MOST_SCANS = 1000
"""Of a JPEG; more than any camera or program writes. Each costs milliseconds, and may be a few bytes long."""

_FIRST: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


def kinds_here() -> tuple[str, ...]:
    """Return the kinds that this machine decodes."""
    return KINDS if importlib.util.find_spec("PIL") is not None else _ALWAYS


def kind_of(data: bytes) -> str | None:
    """Return the media type of a picture's bytes; None if it is no picture that is known here."""
    for first, kind in _FIRST:
        if data.startswith(first):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "image/avif"
    if len(data) > 2 and data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n":
        return "image/x-portable-anymap"
    return None


def check_kind(data: bytes) -> None:
    """Raise unless the bytes begin as a picture of a kind that this machine decodes."""
    if not data:
        raise InputError("The body is empty. Type: curl --data-binary @picture.jpg URL")
    kind = kind_of(data)
    if kind is None:
        raise InputError(f"The body is not a picture, or is of a kind that is not known here. Send {_listed(KINDS)}.")
    if kind not in kinds_here():
        raise InputError(f"{kind} is not decoded on this machine, {_listed(_ALWAYS)} are. Type there: pip install "
                         "'edgevit[image]'")  # fmt: skip
    if kind == "image/jpeg" and data.count(b"\xff\xda") > _MOST_SCANS:
        raise InputError(f"The JPEG has more than {_MOST_SCANS} scans. Save it again, not progressive.")


def _listed(kinds: tuple[str, ...]) -> str:
    names = [kind.partition("/")[2].removeprefix("x-portable-").upper() for kind in kinds]
    return f"{', '.join(names[:-1])} or {names[-1]}"
