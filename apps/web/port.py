"""Take a port and serve on it: what a page, figures for Prometheus and ``edgevit serve`` have in common.

The port is taken at once, before anything is loaded: a taken one, a mistyped address or a bad token is a sentence then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .address import Address, parse_address
from .guard import Guard, Rules
from .running import Listening, Running, check_packages
from .tokens import choose_token, invitation

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Port:
    """Hold a taken port. ``place`` is ``[HOST:]PORT``; on an address that others can reach a token is needed.

    It is the one given, the environment's ``EDGEVIT_TOKEN``, or one that is made, which must be shown once.
    """

    def __init__(self, place: str | Address, *, hosts: Sequence[str] = (), token: str | None = None) -> None:
        check_packages()
        address = parse_address(place) if isinstance(place, str) else place
        self._token, self._made = choose_token(address, token)
        self._hosts = tuple(hosts)
        self._listening = Listening(address)
        self.address = self._listening.address

    @property
    def protected(self) -> bool:
        """Tell whether a token is asked for."""
        return self._token is not None

    @property
    def url(self) -> str:
        """What is opened; it holds the token only if that was made just now: one that somebody set is not repeated."""
        return invitation(self.address, self._token if self._made else None)

    def rules(self, most_body_bytes: int) -> Rules:
        """Return what a guard on this port lets in."""
        return Rules(self.address, self._token, self._hosts, most_body_bytes=most_body_bytes)

    def serving(
        self,
        app: ASGIApp,
        rules: Rules,
        *,
        grace_s: int,
        log: Callable[[str], object] | None = None,
        note: Callable[[str], object] | None = None,
    ) -> Running:
        """Return the server of an application behind its guard, to be entered once."""
        return Running(Guard(app, rules, log=log, note=note), self._listening, grace_s=grace_s)

    def close(self) -> None:
        """Give the port back, if nothing was served on it."""
        self._listening.close()
