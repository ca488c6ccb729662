"""Choose the kind of a source by its URI, and open it. No decoder is imported before a source needs it."""

from __future__ import annotations

import difflib
import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgevit.errors import EdgevitError, InputError, UnsupportedError, UsageError
from edgevit.pictures import is_picture_name, no_such_file
from edgevit.registry import Registry

from .address import shown
from .protocol import Source, checked_on_error

KINDS = Registry(
    "kind of input",
    {
        "images": "edgevit.runtime.sources.images",
        "video": "edgevit.runtime.sources.video",
        "synthetic": "edgevit.runtime.sources.synthetic",
        "network": "edgevit.runtime.sources.network",
        "camera": "edgevit.runtime.sources.camera",
        "csi": "edgevit.runtime.sources.csi",
        "screen": "edgevit.runtime.sources.screen",
    },
    ask="edgevit predict --help",
)
"""Every module has ``source_of(place, *, on_error, recursive) -> Source``."""

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
})
# fmt: on

STREAMS = ".streams"

READABLE = (
    "a picture, a folder or a quoted glob of pictures ('holiday/*.jpg'), a video file, file:// in front of any of "
    "these, a camera (0, /dev/video0, v4l2://, csi://0), a stream (rtsp://, http://, https://), screen://, "
    "synthetic://shapes?count=12 and synthetic://clip?kind=demo"
)

_KIND_OF_SCHEME = {
    "synthetic": "synthetic",
    **dict.fromkeys(("rtsp", "rtsps", "http", "https"), "network"),
    "v4l2": "camera",
    "csi": "csi",
    "screen": "screen",
}
_SCHEMES = ("file", *_KIND_OF_SCHEME)
_CAMERA = re.compile(r"(\d+|/dev/video\d+)(\?.*)?")
_VIDEO_MAGIC = ((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"FLV"), (0, b"\x00\x00\x01\xba"), (0, b"OggS"))
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")


def open_source(uri: str | os.PathLike[str] | int, *, on_error: str = "stop", recursive: bool = False) -> Source:
    """Open an input: pictures, a video file, a camera (by its number, too), a stream, ``screen://``, ``synthetic://…``.

    What cannot be read ends the source with an InputError; with ``on_error="skip"`` it is passed over and told in the
    source's ``faults``. ``recursive`` looks into a folder's folders too.
    """
    policy = checked_on_error(on_error)
    if not isinstance(uri, (str, os.PathLike, int)):
        raise UsageError(f"An input is named by words or a number, not {uri!r}. Type: open_source('clip.mp4')")
    kind, place = kind_of(str(uri) if isinstance(uri, int) else os.fspath(uri))
    source: Source = KINDS.load(kind).source_of(place, on_error=policy, recursive=recursive)
    return source


def open_sources(uri: str | os.PathLike[str], *, on_error: str = "stop") -> tuple[Source, ...]:
    """Open one input, or all that a ``.streams`` file lists: one a line, empty lines and those with # left out."""
    path = Path(os.fspath(uri)).expanduser()
    if path.suffix.lower() != STREAMS or not path.is_file():
        return (open_source(uri, on_error=on_error),)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"The list {path} cannot be read ({exc}). Write one input a line, as UTF-8 text.") from exc
    if not any(_names_input(line) for line in lines):
        raise InputError(f"The list {path} names no input. Write one a line, such as rtsp://camera/1 or 0.")
    opened: list[Source] = []
    try:
        for number, line in enumerate(lines, 1):
            if _names_input(line):
                opened.append(_open_listed(line, f"{path}, line {number}", on_error))
    except BaseException:
        for source in opened:
            source.close()
        raise
    return tuple(opened)


def _names_input(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _open_listed(place: str, line: str, on_error: str) -> Source:
    """Open what a line names; what is wrong with it is told with the list and the line."""
    if place.lower().endswith(STREAMS):
        raise UsageError(f"{line}: it names a list, {shown(place)}. Write what that one lists into this one.")
    try:
        return open_source(place, on_error=on_error)
    except EdgevitError as exc:
        raise type(exc)(f"{line}: {exc}") from exc


def kind_of(uri: str) -> tuple[str, str]:
    """Return the kind of an input and the path (or the whole URI) that the kind opens."""
    if not uri:
        raise InputError(f"The input is empty. This version reads {READABLE}.")
    if _CAMERA.fullmatch(uri):
        return "camera", uri
    scheme, colon, _ = uri.partition("://")
    if colon and scheme.lower() != "file":
        if scheme.lower() not in _KIND_OF_SCHEME:
            raise _unknown_scheme(scheme)
        return _KIND_OF_SCHEME[scheme.lower()], uri
    path = _path_of_file_uri(uri) if colon else Path(uri).expanduser()
    try:
        return _kind_of_path(path)
    except (OSError, ValueError) as exc:
        raise InputError(f"The input {path} cannot be looked at: {getattr(exc, 'strerror', None) or exc}.") from exc


def _kind_of_path(path: Path) -> tuple[str, str]:
    if path.suffix.lower() == STREAMS and path.is_file():
        raise UsageError(f"{path} is a list of inputs, which one loop cannot read. Type: edgevit run BUNDLE {path}")
    if path.is_dir() or (path.exists() and is_picture_name(path)):
        return "images", str(path)
    if path.exists():
        kind = "video" if path.suffix.lower() in VIDEO_SUFFIXES else _kind_by_first_bytes(path)
        return kind, str(path)
    if glob.has_magic(str(path)):
        return "images", str(path)
    raise no_such_file(path)


def _kind_by_first_bytes(path: Path) -> str:
    """Look into a file whose suffix says nothing."""
    if not path.is_file():
        raise UnsupportedError(f"{path} is a device or a pipe, which this version does not read. It reads {READABLE}.")
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PICTURE_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "images"
    if (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or any(
        head[at:].startswith(magic) for at, magic in _VIDEO_MAGIC
    ):
        return "video"
    raise InputError(f"{path} is neither a picture nor a video that is known here. This version reads {READABLE}.")


def _path_of_file_uri(uri: str) -> Path:
    parts = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
    if parts.netloc not in ("", "localhost"):
        # Two slashes and a relative name is what people type; only a third one would make it a host's absolute path.
        return Path(unquote(parts.netloc + parts.path))
    return Path(unquote(parts.path))


def _unknown_scheme(scheme: str) -> UnsupportedError:
    near = difflib.get_close_matches(scheme.lower(), _SCHEMES, n=1)
    guess = f" Did you mean {near[0]}://?" if near else ""
    return UnsupportedError(f"{scheme}:// is not read by this version.{guess} It reads {READABLE}.")
