"""Judge the Host and the Origin of a request, so that no stranger's web page can speak to this server.

DNS rebinding gives a stranger's name our address: the browser then sends that name as Host, so names that are not ours
are refused. An address in Host was typed as one; where the server listens everywhere, any is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from .address import Address, ip_of

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_PORTS = {"http": 80, "https": 443}


class Hosts:
    """Know by which names the server may be called. Ports are not compared: a tunnel's end may have another one."""

    def __init__(self, address: Address, names: Iterable[str] = ()) -> None:
        self._address = address
        self._names = {"localhost", _plain(address.host), *map(_plain, names)}

    def knows(self, host: str) -> bool:
        """Tell whether the Host of a request is one of ours."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _plain(match[1])
        ip = ip_of(name)
        if ip is not None and (self._address.everywhere or (self._address.loopback and ip.is_loopback)):
            return True
        return name in self._names


def same_origin(origin: str, host: str) -> bool:
    """Tell whether a page of this very server asks: its scheme may be https, where a proxy stands before us."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    match = _HOST.fullmatch(host)
    if match is None or parts.scheme not in _PORTS or parts.hostname is None:
        return False
    default = _PORTS[parts.scheme]
    return (_plain(parts.hostname), port or default) == (_plain(match[1]), int(match[2] or default))


def from_elsewhere(site: str, mode: str) -> bool:
    """Tell, by what browsers say of themselves, whether another site's page embeds or fetches; links do not."""
    return site in ("cross-site", "same-site") and mode != "navigate"


def _plain(name: str) -> str:
    ip = ip_of(name)
    return str(ip) if ip is not None else name.lower().removesuffix(".")
