"""Make the secret that opens a server to other machines, and judge what a request shows for it, in constant time.

A request shows it as ``Authorization: Bearer TOKEN``. A browser shows it once, as ``?token=``, and gets a cookie, which
is another secret: who reads the cookie does not learn the token, and the next run of the server knows it no more.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from edgevit.errors import UsageError

from .address import Address

VARIABLE = "EDGEVIT_TOKEN"
LEAST_LENGTH = 16
"""Shorter ones can be found by trying."""
_SPELLING = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def choose_token(
    address: Address, given: str | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[str | None, bool]:
    """Return the token of a server, and whether it was made just now and must be shown once.

    One that was given wins over the environment's; on this machine alone there may be none.
    """
    token = given if given is not None else environment.get(VARIABLE) or None
    if token is not None:
        return check_token(token), False
    return (None, False) if address.loopback else (secrets.token_urlsafe(24), True)


def check_token(token: str) -> str:
    """Return it, or say why it will not do. The message does not repeat it."""
    if not LEAST_LENGTH <= len(token) <= 512 or not _SPELLING.fullmatch(token):
        raise UsageError(
            f"The token must be {LEAST_LENGTH} to 512 letters, digits or any of - . _ ~ + /. Leave it away and one is "
            "made, or type: openssl rand -hex 16"
        )
    return token


def same(shown: str | bytes, secret: str | bytes) -> bool:
    """Compare in a time that tells neither where they differ nor how long the secret is."""
    return hmac.compare_digest(_digest(shown), _digest(secret))


def _digest(words: str | bytes) -> bytes:
    return hashlib.sha256(words.encode("utf-8", "surrogateescape") if isinstance(words, str) else words).digest()


def invitation(address: Address, token: str | None) -> str:
    """Return the URL to show once: with the token, and where the server listens everywhere, as others type it."""
    return address.shown_url + (f"?token={quote(token, safe='')}" if token else "")


class Keys:
    """Hold the token and the cookie of one run."""

    def __init__(self, token: str) -> None:
        self._token, self._cookie = check_token(token), secrets.token_urlsafe(24)

    def __repr__(self) -> str:
        return "Keys(…)"

    def opens(self, authorization: bytes, cookie: bytes, port: int) -> bool:
        """Tell whether these two headers let a request in."""
        kind, _, shown = authorization.partition(b" ")
        by_header = same(shown.strip(), self._token) and kind.lower() == b"bearer"
        # Cookies go to every port of a host: each server looks for its own.
        found = [value for name, value in _cookies(cookie) if name == _cookie_name(port).encode()]
        return by_header or any(same(value, self._cookie) for value in found)

    def opens_by_query(self, query: bytes) -> bool | None:
        """Tell whether ``?token=`` is right; None where there is none."""
        shown = [value for name, value in _pairs(query) if name == "token"]
        return same(shown[0], self._token) if len(shown) == 1 else (False if shown else None)

    def set_cookie(self, port: int) -> str:
        """Return the header's value: not readable by scripts, never sent from another site's pages."""
        return f"{_cookie_name(port)}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"


def clean_path(path: str, query: bytes) -> str:
    """Return path and query without the token, always on this server: ``//elsewhere`` would be another one."""
    rest = without_token(query).decode("latin-1")
    return "/" + quote(path.lstrip("/\\")) + (f"?{rest}" if rest else "")


def without_token(query: bytes) -> bytes:
    """Return a query from which ``token=`` is gone."""
    if b"token" not in query and b"%" not in query:
        return query
    return urlencode([(name, value) for name, value in _pairs(query) if name != "token"]).encode()


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _cookie_name(port: int) -> str:
    return f"edgevit_{port}"


def _cookies(header: bytes) -> list[tuple[bytes, bytes]]:
    parts = (part.strip().partition(b"=") for part in header.split(b";"))
    return [(name, value) for name, equals, value in parts if equals]
