"""Read ``[HOST:]PORT``: this machine alone unless another address is typed, IPv6 in brackets, port 0 for a free one."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from edgevit.errors import UsageError

LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_EXPECTED = "Expected [HOST:]PORT, such as 8080, 0.0.0.0:8080 or [::1]:8080"


@dataclass(frozen=True)
class Address:
    """Hold where a server listens; port 0 lets the system choose."""

    host: str = LOOPBACK
    port: int = 0

    @property
    def loopback(self) -> bool:
        """Tell whether nobody outside this machine can reach it."""
        ip = ip_of(self.host)
        return ip is not None and ip.is_loopback

    @property
    def everywhere(self) -> bool:
        """Tell whether it stands for all addresses of this machine."""
        ip = ip_of(self.host)
        return ip is not None and ip.is_unspecified

    @property
    def url(self) -> str:
        """Return what is typed into a browser on this machine."""
        host = LOOPBACK if self.everywhere else self.host
        return f"http://{Address(host, self.port)}/"

    @property
    def shown_url(self) -> str:
        """Return what others type, where others are let in; else what is typed on this machine."""
        own = here() if self.everywhere else None
        return self.url if own is None else f"http://{own}:{self.port}/"

    def same_port(self, other: Address) -> bool:
        """Tell whether both name one port; an address that stands for all of this machine's is each of them."""
        return self.port == other.port != 0 and (self.host == other.host or self.everywhere or other.everywhere)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an address. Without a host it is this machine alone, and so it is for ``localhost`` and ``:8080``."""
    words = text.strip()
    host, colon, port = words.rpartition(":")
    if not colon:
        host, port = "", words
    if "/" in words:
        raise UsageError(f"'{text}' is a URL or a path, not an address. {_EXPECTED}")
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(f"'{text}' has no port from 0 to 65535. {_EXPECTED}")
    return Address(_host(host, text), int(port))


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a literal address, with or without brackets; None for a name."""
    try:
        return ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return None


def here() -> str | None:
    """Return the address by which this machine reaches its network, for showing; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation's own network: routed like any other, answered by nobody
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _host(host: str, text: str) -> str:
    # `localhost` may be anything in a system's table of names, so it is not looked up.
    if host in ("", "localhost"):
        return LOOPBACK
    if host == "*":
        return "0.0.0.0"
    if host.startswith("[") and host.endswith("]"):
        if (ip := ip_of(host)) is None or ip.version != 6:
            raise UsageError(f"'{text}' has no IPv6 address in its brackets. {_EXPECTED}")
        return str(ip)
    if ":" in host:
        raise UsageError(f"'{text}' is not clear: an IPv6 address stands in brackets. {_EXPECTED}")
    if ip_of(host) is None and (not _NAME.fullmatch(host) or host.replace(".", "").isdecimal()):
        raise UsageError(f"'{host}' is neither an address nor a host's name. {_EXPECTED}")
    return host
