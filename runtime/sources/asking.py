"""Ask a machine why its stream does not open, for a decoder that does not say: one request, its answer's first line.

No password is sent: a camera that asks for one says so before it has seen any.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_REQUESTS = {
    "http": "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n",
    "rtsp": "DESCRIBE {place} RTSP/1.0\r\nCSeq: 1\r\n\r\n",
}
_KINDS = {"401": "login", "403": "login", "404": "path"}


class UnopenedError(OSError):
    """A stream that did not open. ``kind`` is ``silent``, ``refused``, ``login``, ``path`` or empty."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(0, words)
        self.kind = kind


def asked(uri: str, timeout_s: float) -> UnopenedError:
    """Return what seems to be in the way."""
    parts = urlsplit(uri)
    host, scheme = parts.hostname or "", parts.scheme.lower()
    try:
        with socket.create_connection((host, parts.port or _PORTS[scheme]), timeout=timeout_s) as line:
            if scheme not in _REQUESTS:
                return UnopenedError("", "the machine answers, and what it sends cannot be read")
            place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            line.sendall(_REQUESTS[scheme].format(path=path, host=host, place=place).encode())
            said = line.recv(200).decode("latin-1").partition("\r")[0]
    except ConnectionRefusedError:
        return UnopenedError("refused", "connection refused")
    except TimeoutError:
        return UnopenedError("silent", "no answer")
    except OSError as exc:
        return UnopenedError("", str(exc.strerror or exc))
    code = next(iter(said.split(" ", 2)[1:2]), "")
    return UnopenedError(_KINDS.get(code, ""), f"it says {said!r}" if said else "it says nothing")
