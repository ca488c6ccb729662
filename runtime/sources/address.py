"""Read what stands behind the question mark of a live input's URI, and keep passwords out of what is shown.

Of a camera or a screen everything there is ours: ``size=1280x720`` (width x height, as cameras' makers write it),
``fps``, ``format`` (yuyv422, mjpeg …), ``hw``, ``timeout``, ``retries``. In a network's URL ``transport``, ``hw``,
``timeout`` and ``retries`` are ours and are taken out; all else belongs to the camera and goes to it as it was typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from edgevit.errors import InputError
from edgevit.registry import unknown_name

NETWORK = ("transport", "hw", "timeout", "retries")
DEVICE = ("size", "fps", "format", "hw", "timeout", "retries")
TRANSPORTS = ("tcp", "udp", "http", "https")

_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*://)((?!\[)[^/?#:]*:.*|[^/?#]*)@", re.IGNORECASE | re.DOTALL)
"""A password with a slash or an @ in it is no URL, but typed all the same. So one ends at the last @ of all, although a
port and a path with an @ look like that too: those are hidden for nothing."""
_QUERIED = re.compile(r"((?:passw(?:or)?d|pass|pwd|token|secret)=)[^&;#/]+", re.IGNORECASE)
"""Some cameras want it behind the question mark, or in the path."""
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0}


@dataclass(frozen=True)
class Wishes:
    """Hold what was asked for. ``retries`` None tries again for ever; ``timeout_s`` is how long silence is borne.

    ``hw`` is the kind of hardware that shall decode: one of FFmpeg's names, ``auto``, or empty for none.
    """

    size_wh: tuple[int, int] | None = None
    fps: float | None = None
    format: str = ""
    transport: str = ""
    hw: str = ""
    timeout_s: float = 5.0
    retries: int | None = None


def split(uri: str, ours: Iterable[str], *, strict: bool) -> tuple[str, Wishes]:
    """Return the address and the wishes; ``strict`` refuses a key that is not ours, else it stays in the address."""
    place, mark, query = uri.partition("?")
    known, found, rest = tuple(ours), {}, []
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key in known:
            found[key] = unquote(value)
        elif strict:
            raise unknown_name("option of this input", key, known, ask=f"{place}?{known[0]}=…")
        else:
            rest.append(part)
    wishes = Wishes(**dict(_read(key, value) for key, value in found.items()))
    return (f"{place}{mark}{'&'.join(rest)}" if rest else place), wishes


def shown(uri: str) -> str:
    """Return the URI without its password, for ledgers, results and messages, whatever else is wrong with it."""
    return _QUERIED.sub(r"\1…", _LOGIN.sub(lambda found: f"{found[1]}{_user(found[2])}@", uri))


def without_login(uri: str, words: str) -> str:
    """Return a foreign message from which the URI's password was taken, also up to where others see its end."""
    found = _LOGIN.match(uri)
    words = words.replace(uri, shown(uri))
    password = found[2].partition(":")[2] if found else ""
    for end in (len(password), *(n for n in range(len(password) - 1, 0, -1) if password[n] in "@/?#")):
        if end:
            words = re.sub(rf"(?<!\w){re.escape(password[:end])}(?!\w)", "…", words)
    return words


def _user(login: str) -> str:
    user, colon, password = login.partition(":")
    # If that mark began a query, what follows is no host: labels (sinks/labels.py) must see that it was there.
    return f"{user}:{'…?…' if '?' in password else '…'}" if colon else user


def _read(key: str, text: str) -> tuple[str, Any]:
    if key == "size" and (match := re.fullmatch(r"(\d{2,5})x(\d{2,5})", text.lower())):
        return "size_wh", (int(match[1]), int(match[2]))
    if key == "fps" and re.fullmatch(r"\d+(\.\d+)?", text) and 0 < float(text) <= 1000:
        return "fps", float(text)
    if key == "format" and re.fullmatch(r"[a-z0-9_]+", text.lower()):
        return "format", text.lower()
    if key == "hw" and re.fullmatch(r"[a-z0-9]+", text.lower()):
        return "hw", "" if text.lower() == "off" else text.lower()
    if key == "transport" and text.lower() in TRANSPORTS:
        return "transport", text.lower()
    if key == "timeout" and (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text)):
        seconds = float(match[1]) * _SECONDS[match[2] or ""]
        if 0 < seconds <= 3600:
            return "timeout_s", seconds
    if key == "retries" and text.isdecimal():
        return "retries", int(text)
    raise InputError(f"{key}={text} cannot be read. Expected {_EXPECTED[key]}.")


_EXPECTED = {
    "size": "size=1280x720, width and height",
    "fps": "fps=30, frames a second",
    "format": "format=mjpeg or another name that the driver has",
    "transport": f"transport={' or '.join(TRANSPORTS)}",
    "hw": "hw=auto, off, or a kind of hardware such as cuda, vaapi, videotoolbox",
    "timeout": "timeout=5s (or ms, m), up to an hour",
    "retries": "retries=3, a whole number",
}
