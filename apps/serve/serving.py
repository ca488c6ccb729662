"""Serve a folder of bundles until somebody ends it: the loop behind ``edgevit serve``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..web.address import Address
from ..web.guard import Guard, Rules
from ..web.running import Listening, Running, check_packages
from ..web.tokens import choose_token, invitation
from .application import Front, application
from .shelf import Served, Shelf, open_shelf


@dataclass(frozen=True)
class Wishes:
    """Say how to serve. ``depth`` is how many requests may wait before each bundle, ``name`` is for a single bundle."""

    name: str | None = None
    token: str | None = None
    hosts: tuple[str, ...] = ()
    engine: str | None = None
    threads: int | None = None
    precision: str | None = None
    depth: int = 16
    timeout_s: float = 30.0
    most_body_bytes: int = 16 << 20
    rate_per_s: float = 100.0


@dataclass(frozen=True)
class Started:
    """Tell what is served, and where; ``url`` holds the token only if it was made just now."""

    url: str
    address: Address
    shelf: Shelf
    protected: bool


def serve(
    place: Path,
    address: Address,
    wishes: Wishes | None = None,
    *,
    on_start: Callable[[Started], object] | None = None,
    on_open: Callable[[Served], object] | None = None,
    note: Callable[[str], object] | None = None,
    log: Callable[[str], object] | None = None,
) -> None:
    """Serve until an exception ends it, Ctrl-C's for one; what is in flight is finished first.

    ``log`` hears of each answer, ``note`` of what went wrong inside.
    """
    wishes = wishes or Wishes()
    check_packages()
    token, made = choose_token(address, wishes.token)
    listening = Listening(address)  # a taken port should not cost the loading of models
    try:
        shelf = open_shelf(
            place,
            depth=wishes.depth,
            name=wishes.name,
            engine=wishes.engine,
            threads=wishes.threads,
            precision=wishes.precision,
            opened=on_open,
        )
    except BaseException:
        listening.close()
        raise
    front = Front(shelf, wishes.timeout_s, wishes.most_body_bytes, token is not None, note)
    rules = Rules(
        listening.address,
        token,
        wishes.hosts,
        most_body_bytes=wishes.most_body_bytes,
        rate_per_s=wishes.rate_per_s,
        burst=int(4 * wishes.rate_per_s) + 1,
    )
    try:
        guard = Guard(application(front), rules, log=log, note=note)
        with Running(guard, listening, grace_s=int(wishes.timeout_s) + 1) as running:
            if on_start is not None:
                url = invitation(listening.address, token if made else None)
                on_start(Started(url, listening.address, shelf, token is not None))
            try:
                running.wait()
            finally:
                front.stopping = True
    finally:
        listening.close()
        shelf.close()
