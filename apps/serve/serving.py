"""Serve a folder of bundles until somebody ends it: the loop behind ``edgevit serve``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..web.address import Address
from ..web.port import Port
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
    port = Port(address, hosts=wishes.hosts, token=wishes.token)  # a taken one should not cost the loading of models
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
        port.close()
        raise
    front = Front(shelf, wishes.timeout_s, wishes.most_body_bytes, port.protected, note)
    rate = wishes.rate_per_s
    rules = replace(port.rules(wishes.most_body_bytes), rate_per_s=rate, burst=int(4 * rate) + 1)
    try:
        with port.serving(application(front), rules, grace_s=int(wishes.timeout_s) + 1, log=log, note=note) as running:
            if on_start is not None:
                on_start(Started(port.url, port.address, shelf, port.protected))
            try:
                running.wait()
            finally:
                front.stopping = True
    finally:
        port.close()
        shelf.close()
